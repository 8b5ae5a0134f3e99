"""The model's sums, sooner: the same functions, held to their plain forms by the tests."""

PRECISIONS = ("auto", "fp32", "bf16")  # of matrix products
