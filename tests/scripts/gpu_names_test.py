"""scripts/gpu_names.py: each GPU that it names is known by that name to the program too, and has its cluster file."""

import os
import sys
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])
sys.path.insert(0, str(ROOT / "scripts"))
import gpu_speed  # noqa: E402
from gpu_names import KINDS  # noqa: E402


class Names(unittest.TestCase):
    def test_the_program_knows_each_by_the_same_name(self):
        sheets = (ROOT / "src/tensor/device_peak.cpp").read_text(encoding="utf-8")
        for name in KINDS:
            self.assertIn(f'{{"{name}", ', sheets)

    def test_each_kind_has_its_cluster_file(self):
        for name, kind in KINDS.items():
            self.assertEqual(gpu_speed.cluster_of(name), ROOT / f"configs/clusters/{kind}.json")
            self.assertTrue(gpu_speed.cluster_of(name).exists(), name)

    def test_a_name_that_resembles_one_is_another_gpu(self):
        for name in ("NVIDIA GH200 480GB", "NVIDIA H200 NVL", "NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA A100-SXM4-40GB",
                     "NVIDIA A100 80GB PCIe", "H200", ""):
            self.assertIsNone(gpu_speed.cluster_of(name), name)


if __name__ == "__main__":
    unittest.main()
