"""The page: all there is, told apart, and nothing from outside."""

from __future__ import annotations

from math import inf

from engines.difference import Difference
from pipeline.quantisation.figures import Figure, Verdict
from pipeline.quantisation.quant_page import quant_page
from pipeline.quantisation.quant_report import QuantReport
from pipeline.quantisation.sides import Side

CPU = {"stage": "detect", "id": "cpu0", "backend": "onnxruntime", "device": "cpu"}
NPU = CPU | {"id": "<npu>", "backend": "sim-npu", "profile": "atlas500", "device_s": 0.0025}
REPORT = QuantReport(
    frames=4,
    truths={"gate": "truth/gt.txt", "yard": "truth/gt.txt"},
    tensors={("detect", "boxes"): Difference(3, 1, 2.0, 0.5, 4.0, 0.04, 4.0, 3.98)},
    figures=(
        Figure("AP50", 0.5, 0.4321),
        Figure("agreement", 1.0, float("nan")),
        Figure("IDSW", 3, 5),
    ),
    agreement={"gate": [1.0, 0.25, 1.0, 1.0]},
    reference=Side((CPU | {"precision": "fp32"},), {}, {}, {}),
    candidate=Side(
        (NPU | {"precision": "int8", "attained": 0.125},),
        {"blind": 1},
        {"detect: npu failed": 1},
        {"npu": "hangs & smokes"},
    ),
)


def test_all_is_there() -> None:
    page = quant_page(REPORT, [], "street.yaml: <npu> against cpu0")
    for text in (
        "<h1>street.yaml: &lt;npu&gt; against cpu0</h1>",
        "4 frames on both sides, against the ground truth of\ntruth/gt.txt.",
        "candidate: frames blind: 1",
        "candidate: npu: hangs &amp; smokes",
        ">0.4321<", ">0.0679<", ">nan<", ">2<",
        ">25.0 %<", ">20.0<", ">0.995000<",
        ">2.50 ms<", ">12.5 %<", ">atlas500<",
        "gate: from 0.25, in frame 2 of these, to 1.00",
    ):  # fmt: skip
        assert text in page, text
    assert "gate holds" not in page
    assert "gate fails" not in page
    assert ">embeddings<" not in page  # none were measured
    assert "<npu>" not in page
    assert "<script" not in page
    assert "://" not in page


def test_the_gate_is_told() -> None:
    held = quant_page(REPORT, [Verdict("AP50", 0.1, "")], "a")
    assert "The gate holds." in held
    assert '<td class="n good">0.0679</td>\n<td class="n">0.1</td>' in held
    failed = quant_page(REPORT, [Verdict("AP50", 0.01, "AP50 drops, <too> much")], "a")
    assert "The gate fails." in failed
    assert '<td class="n bad">0.0679</td>\n<td class="n">0.01</td>' in failed
    assert "AP50 drops, &lt;too&gt; much" in failed


def test_without_truth_and_without_detections() -> None:
    nothing = Side((), {}, {}, {})
    equal = {("detect", "boxes"): Difference()}
    page = quant_page(QuantReport(0, {}, equal, (), {}, nothing, nothing), [], "a")
    assert "without ground truth" in page
    assert Difference().snr_db == inf
    assert '<td class="n">–</td>' in page  # the SNR, which is infinite
