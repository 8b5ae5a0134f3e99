import pytest
import torch

from captioner.kernels.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.73])
def test_a_share_p_is_zeroed_and_the_rest_scaled(p):
    out = Dropout(p)(torch.ones(1000, 333))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)])
    assert (out == 0).double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / 333_000) ** 0.5)


def test_gradient_flows_where_the_value_did():
    x = torch.randn(50, 7, dtype=torch.float64, requires_grad=True)
    out = Dropout(0.4)(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach() / x.detach())


def test_draws_are_torchs_own_and_differ():
    layer, x = Dropout(0.5), torch.ones(64)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_neighbours_are_independent():
    kept = Dropout(0.5)(torch.ones(400_000)) > 0
    for lag in (1, 2, 3, 4):
        agree = (kept[lag:] == kept[:-lag]).double().mean().item()
        assert agree == pytest.approx(0.5, abs=0.005)


def test_evaluation_and_zero_leave_values_alone():
    x = torch.randn(9)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
