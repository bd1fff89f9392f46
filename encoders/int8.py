"""An ONNX model with its linear layers in int8: activations smoothed, ranges calibrated on a shop's own texts.

Smoothing moves the spread of activations into the weights, channel by channel, so that one scale per tensor suits all
of them: x W = (x / s) (s W), s = max|x|^a / max|W|^(1 - a). Xiao et al., "SmoothQuant", 2023.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import EncoderError
from encoders.onnx_model import INPUTS, Tokens
from encoders.quiet import silently

Batch = tuple[Tokens, Tokens]
_NARROW, _WIDE = 0.7, 0.8
"""Exponent a; the second layer of a feed-forward block, whose input is wide, has the largest outliers. Of .3 to 1.0
these gave all-MiniLM-L6-v2 the best neighbours on Complete Journey and amazon-beauty."""
_LEAST = 1e-4


def quantise(source: Path, batches: Sequence[Batch], target: Path, *, wide: bool) -> None:
    """Write the int8 model.

    Weights have a scale per output channel, activations one per tensor, from the largest and smallest values seen;
    outputs of layers, attention products, normalisation and pooling stay in float32.

    Args:
        source: the model as `encoders.onnx_model.exported` writes it.
        batches: ids and mask of texts without padding, to calibrate on.
        target: the file to write.
        wide: whether layers that narrow a wide input are quantised too; in fp32 they cost a third of the gain and give
            back most of the loss.

    Raises:
        EncoderError: the model has no such layer.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    model = onnx.load(source)
    layers = _linear(model)
    if not layers:
        raise EncoderError("the model has no linear layer to put in int8", str(source), "use encode.precision = fp32")
    width = min(weight.shape[0] for _, weight in layers.values())
    _smooth(model, layers, _largest(model, sorted({node.input[0] for node, _ in layers.values()}), batches), width)
    chosen = [name for name, (_, weight) in layers.items() if wide or weight.shape[0] <= width]
    with tempfile.TemporaryDirectory(prefix=".int8-", dir=target.parent) as scratch, silently():
        draft = Path(scratch) / "model.onnx"
        quantize_static(
            model,
            draft,
            _Reader(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=chosen,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
        draft.replace(target)


class _Reader:
    """Batches as onnxruntime's calibration asks for them."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = iter([dict(zip(INPUTS, batch, strict=True)) for batch in batches])

    def get_next(self) -> dict[str, Tokens] | None:
        return next(self._batches, None)


def _linear(model: Any) -> dict[str, tuple[Any, NDArray[np.float32]]]:
    """Products of an activation with a weight of its own: name → node and weight (inputs, outputs)."""
    from onnx import numpy_helper

    used = Counter(name for node in model.graph.node for name in node.input)
    weights = {one.name: one for one in model.graph.initializer if used[one.name] == 1}
    return {
        node.name: (node, numpy_helper.to_array(weights[node.input[1]]))
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in weights
    }


def _largest(model: Any, names: Sequence[str], batches: Sequence[Batch]) -> dict[str, NDArray[np.float32]]:
    """Largest absolute value per channel of the named activations."""
    import onnx
    import onnxruntime

    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    open_model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(open_model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: dict[str, NDArray[np.float32]] = {}
    for batch in batches:
        for name, values in zip(names, session.run(list(names), dict(zip(INPUTS, batch, strict=True))), strict=True):
            seen = np.abs(values.reshape(-1, values.shape[-1])).max(0)
            found[name] = np.maximum(found[name], seen) if name in found else seen
    return found


def _smooth(model: Any, layers: dict[str, tuple[Any, Any]], largest: dict[str, Any], width: int) -> None:
    """Divide activations by s and multiply weights with it; layers that share an input (query, key, value) share s."""
    from onnx import helper, numpy_helper

    sharing: dict[str, list[str]] = defaultdict(list)
    for name, (node, _) in layers.items():
        sharing[node.input[0]].append(name)
    weights = {one.name: one for one in model.graph.initializer}
    before: dict[str, Any] = {}
    for source, names in sharing.items():
        spread = np.max([np.abs(layers[name][1]).max(1) for name in names], axis=0)
        power = _WIDE if len(spread) > width else _NARROW
        scale = np.maximum(largest[source], _LEAST) ** power / np.maximum(spread, _LEAST) ** (1 - power)
        scale = np.maximum(scale, 1e-3).astype(np.float32)
        factor, smoothed = f"{source}_factor", f"{source}_smoothed"
        model.graph.initializer.append(numpy_helper.from_array(1 / scale, factor))
        before[names[0]] = helper.make_node("Mul", [source, factor], [smoothed], name=smoothed)
        for name in names:
            node, weight = layers[name]
            weights[node.input[1]].CopyFrom(numpy_helper.from_array(weight * scale[:, None], node.input[1]))
            node.input[0] = smoothed
    nodes = [one for node in model.graph.node for one in ([before[node.name]] if node.name in before else []) + [node]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
