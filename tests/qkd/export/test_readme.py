"""What the README says of running a student elsewhere works as it stands."""

import re

import numpy as np
import pytest
import torch

from qkd.export.choice import graphs
from qkd.models.resnet_cifar import resnet
from qkd.quantizers.quantize import quantize, set_intervals
from qkd.spec import Bits, Quantization
from tests.support.exported import WHY, images_of
from tests.support.launching import ROOT


def test_the_readmes_ten_lines_run_an_exported_student(tmp_path, monkeypatch):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=WHY)
    section = (ROOT / "README.md").read_text().split("## Run the student elsewhere")[1]
    section = section.partition("\n## ")[0]
    assert len(section.strip().splitlines()) <= 10
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    quantization = Quantization(bits=Bits(weight=2, activation=2))
    network = quantize(resnet(8, 4), quantization)
    set_intervals(network, images_of(8, shape=(3, 32, 32)), quantization)
    folder = tmp_path / "results" / "export" / "NAME"
    folder.mkdir(parents=True)
    content = graphs(network.eval(), (3, 32, 32)).files["onnx"]
    (folder / "student.onnx").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(compile(code, "README.md", "exec"), found)  # noqa: S102 (our own README)
    with torch.inference_mode():
        expected = network(torch.from_numpy(found["images"]))
    assert found["logits"].shape == (2, 10)
    assert np.allclose(found["logits"], expected, atol=1e-4)
