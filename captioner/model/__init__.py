"""Show, Attend and Tell (Xu et al. 2015) as the paper prints it: tensors in, tensors out."""
