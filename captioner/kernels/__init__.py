"""The model's sums, sooner: the same functions, held to their plain forms by the tests."""
