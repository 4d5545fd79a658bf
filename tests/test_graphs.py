"""Graphs without weights, as JSON, and with them, as ONNX files."""

from __future__ import annotations

import json
import logging

import keras
import numpy as np
import pytest

from adain.networks.model import StyleTransfer
from adain.networks.onnx_graph import describe
from adain.networks.vgg19 import get_arrays
from adain.presets.graphs import GRAPHS, Graph, PresetGraphs, to_json
from adain.presets.preset import Preset, PresetError, available_presets

onnx = pytest.importorskip("onnx")


def read(folder) -> PresetGraphs:
    return PresetGraphs(Preset.load(folder))


@pytest.fixture(scope="module")
def preset(any_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    any_model.save_to_preset(folder)
    return folder


@pytest.fixture
def rewrite(replace_file):
    """`rewrite(folder, text)`: replace a preset's graphs, with the right sum."""
    return lambda folder, text: replace_file(folder, GRAPHS, text.encode())


# === ONNX files, as the library of the format reads them ===


@pytest.mark.parametrize("name", ["encode", "decode", "encode_float", "decode_float"])
def test_files_are_valid(preset, name):
    content = read(preset).to_onnx(name)
    onnx.checker.check_model(content, full_check=True)
    # Fields in the order and the encoding of the library's own writer.
    assert onnx.load_from_string(content).SerializeToString(deterministic=True) == content


@pytest.mark.parametrize(
    "value",
    [0, 1, 127, 128, 2**31, 2**63 - 1, -1, -(2**63), 0.5, -1e-5, "reflect", "ü", "x" * 300]
    + [[0, 0, 1, 1], [-1, 2**40], [0.25, -3.0], [1, 0.5]],
    ids=repr,
)
def test_attributes(value):
    graph = Graph()
    x = graph.input("x", (1, "side"))
    graph.output(graph.add("Anything", [x, ""], value=value), "y", (1, "side"))
    (node, _) = onnx.load_from_string(graph.to_onnx("test", {})).graph.node
    assert (node.op_type, list(node.input), len(node.output)) == ("Anything", ["x", ""], 1)
    found = onnx.helper.get_attribute_value(node.attribute[0])
    found = found.decode() if isinstance(found, bytes) else found
    if isinstance(value, str | int):
        assert found == value and type(found) is type(value)
    else:
        np.testing.assert_array_equal(np.float32(found), np.float32(value))


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "float16"])
@pytest.mark.parametrize("value", [3, [1], [[1, 2], [3, 4]], []], ids=repr)
def test_constants(dtype, value):
    graph = Graph()
    name = graph.constant(value, dtype)
    (tensor,) = onnx.load_from_string(graph.to_onnx("test", {})).graph.initializer
    assert tensor.name == name
    found = onnx.numpy_helper.to_array(tensor)
    np.testing.assert_array_equal(found, np.asarray(value, dtype), strict=True)


def test_weights_are_transposed_reshaped_and_halved():
    graph = Graph()
    graph.weight("decoder/x/kernel", (1, 0), (3, 2, 1, 1))
    array = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    model = onnx.load_from_string(graph.to_onnx("test", {"decoder/x/kernel": array}))
    found = onnx.numpy_helper.to_array(model.graph.initializer[0])
    expected = array.T.reshape(3, 2, 1, 1).astype("float16")
    np.testing.assert_array_equal(found, expected, strict=True)
    with pytest.raises(ValueError, match="the weight decoder/x/kernel is missing"):
        graph.to_onnx("test", {})
    with pytest.raises(ValueError, match=r"must fit the shape \[3, 2, 1, 1\], received \(3, 3\)"):
        graph.to_onnx("test", {"decoder/x/kernel": np.zeros((3, 3))})


def test_every_weight_is_there_once_in_half_precision(preset, any_model):
    graphs = read(preset)
    for name, network in (("encode", any_model.encoder), ("decode", any_model.decoder)):
        weights = [
            onnx.numpy_helper.to_array(item)
            for item in onnx.load_from_string(graphs.to_onnx(name)).graph.initializer
            if item.data_type == onnx.TensorProto.FLOAT16
        ]
        expected = [array.astype("float16") for array in get_arrays(network).values()]
        # Layouts differ: the same numbers in another order.
        found, expected = (
            sorted(sorted(array.ravel().tolist()) for array in arrays)
            for arrays in (weights, expected)
        )
        assert found == expected


# === Graphs of a preset ===


def test_graphs_are_read_as_they_were_written(any_model):
    graphs = describe(any_model)
    assert to_json(graphs) == to_json(graphs)
    found = json.loads(to_json(graphs))
    assert found == json.loads(json.dumps({name: vars(graph) for name, graph in graphs.items()}))


def test_graphs_do_not_depend_on_weights(make_any, tmp_path):
    sums = set()
    for seed in (0, 1):
        make_any(seed).save_to_preset(tmp_path / str(seed))
        sums.add(Preset.load(tmp_path / str(seed)).sums[GRAPHS])
    assert len(sums) == 1


def test_digests_go_by_contents(make_any, tmp_path):
    """A cache that uses them never takes one graph for another."""
    found = {}
    for place, seed in (("a", 0), ("b", 1), ("c", 0)):
        make_any(seed).save_to_preset(tmp_path / place)
        graphs = read(tmp_path / place)
        found[place] = {name: graphs.digest(name) for name in graphs.graphs}
    assert found["a"] == found["c"]
    different = [*found["a"].values(), *found["b"].values()]
    assert len(set(different)) == len(different)


def test_shipped_graphs_are_those_of_the_networks():
    """They follow `networks`: otherwise save the presets again."""
    for preset in map(Preset.load, available_presets()):
        described = to_json(describe(StyleTransfer.from_preset(preset)))
        assert described == preset.read_file(GRAPHS), preset.name


def test_unknown_layers_are_named(make_model, tmp_path, caplog):
    model = make_model()
    *taps, deepest = model.encoder.outputs
    deepest = keras.layers.SpatialDropout2D(0.5, name="forgetful")(deepest)
    encoder = keras.Model(model.encoder.inputs, [*taps, deepest])
    model = StyleTransfer(encoder, model.decoder)
    with pytest.raises(ValueError, match="forgetful: a SpatialDropout2D cannot be exported"):
        describe(model)
    # The weights are not lost for that.
    with caplog.at_level(logging.WARNING):
        model.save_to_preset(tmp_path)
    assert "forgetful" in caplog.text and "Only --engine keras runs" in caplog.text
    assert not (tmp_path / GRAPHS).exists()
    assert set(Preset.load(tmp_path).sums) == {"encoder.npz", "decoder.npz"}


def test_graphs_of_older_weights_do_not_stay(make_model, tmp_path):
    make_model().save_to_preset(tmp_path)
    model = make_model()
    model.decoder.get_layer("conv2_2").activation = keras.activations.tanh
    with pytest.raises(ValueError, match="conv2_2: activation .*tanh.* cannot be exported"):
        describe(model)
    model.save_to_preset(tmp_path)
    assert not (tmp_path / GRAPHS).exists()


# === Damaged ones ===


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", "null", '{"encode": 3}', '{"encode": []}', '{"encode": {"node": []}}',
        '{"encode": {"weights": []}}', '{"encode": {"weights": {"x": 3}}}',
        '{"encode": {"weights": {"x": ["../../secret/x", [0], [4]]}}}', "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_graph_is_refused(tiny_preset, rewrite, text):
    rewrite(tiny_preset, text)
    with pytest.raises(PresetError, match=r"graphs\.json: not the graphs of a preset") as found:
        read(tiny_preset)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "graph",
    [
        {"weights": {"x": ["encoder/conv9_9/kernel", [3, 2, 0, 1], [4, 3, 3, 3]]}},
        {"weights": {"x": ["encoder/conv1_1/kernel", [0, 0, 0, 0], [4, 3, 3, 3]]}},
        {"weights": {"x": ["encoder/conv1_1/kernel", [3, 2, 0, 1], [4, 3, 3, 4]]}},
        {"weights": {"x": ["encoder/conv1_1/kernel", [3, 2, 0, 1], ["a"]]}},
        {"weights": {"x": ["encoder/conv1_1/kernel", [3, 2, 0, 1]]}},
        {"constants": {"x": ["float128", 1]}},
        {"constants": {"x": ["int64", 2**70]}},
        {"constants": {"x": ["float32", [[1], [1, 2]]]}},
        {"constants": {"x": 1}},
        {"nodes": [["Add", ["x"]]]},
        {"nodes": [["Add", ["x"], [], {}]]},
        {"nodes": [["Add", ["x"], ["y"], {"a": {}}]]},
        {"nodes": [["Add", ["x"], ["y"], {"a": ["b"]}]]},
        {"nodes": 3},
        {"inputs": [["x", "text", [1]]]},
        {"inputs": [[1, 2, 3]]},
    ],
    ids=str,
)
def test_damaged_graphs_are_refused(tiny_preset, rewrite, graph):
    rewrite(tiny_preset, json.dumps({"encode": graph}))
    with pytest.raises(PresetError, match=r"graphs\.json: not the graphs of a preset") as found:
        read(tiny_preset).to_onnx("encode")
    assert "\n" not in str(found.value)


def test_a_graph_that_is_not_there(tiny_preset, rewrite):
    rewrite(tiny_preset, "{}")
    with pytest.raises(PresetError, match=r"graphs\.json: not the graphs .*'encode' is missing"):
        read(tiny_preset).to_onnx("encode")
    with pytest.raises(PresetError, match=r"graphs\.json: not the graphs .*'encode' is missing"):
        read(tiny_preset).digest("encode")
