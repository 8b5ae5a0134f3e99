"""The cell that a configuration names, in the form that its options choose."""

from __future__ import annotations

from collections.abc import Callable

from captioner.config.model import CellConfig, ForgetGateConfig, GRUConfig, LSTMConfig
from captioner.errors import CaptionerError, choose
from captioner.model.cells import CELLS, Cell
from captioner.model.lstm_variants import VARIANTS, NoForgetGateLSTM
from captioner.model.normalized_cells import LayerNormGRUCell, LayerNormLSTMCell


def build_cell(config: CellConfig, input_size: int, hidden_size: int) -> Cell:
    """The cell that the configuration describes.

    Raises:
        CaptionerError: there is no cell of that name, or its options exclude each other.
    """
    cell: Callable[..., Cell] = choose(CELLS, config.name, "cell")
    options: dict[str, float | bool] = {}
    if isinstance(config, LSTMConfig) and config.variant is not None:
        if config.layer_norm:
            raise CaptionerError(
                f"cell.layer_norm: it is for the whole LSTM, and cell.variant={config.variant}; "
                "give one of them"
            )
        cell = choose(VARIANTS, config.variant, "cell.variant")
    elif isinstance(config, LSTMConfig) and config.layer_norm:
        cell = LayerNormLSTMCell
    elif isinstance(config, GRUConfig) and config.layer_norm:
        cell = LayerNormGRUCell
    if isinstance(config, ForgetGateConfig) and cell is not NoForgetGateLSTM:
        options["forget_bias"] = config.forget_bias
    if isinstance(config, GRUConfig):
        options["reset_after"] = config.reset_after
    return cell(input_size, hidden_size, **options)
