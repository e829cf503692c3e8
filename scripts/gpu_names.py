"""What kind a GPU is of, by the name that its driver gives. Names that resemble each other tell apart what differs, as in
src/tensor/device_peak.cpp: "H100 80GB HBM3" is the SXM module, and an H100 PCIe, an H100 NVL or a GH200 has other speeds."""

# configs/clusters/KIND.json has the data sheet of a kind, kernel_model.py what is assumed of it.
KINDS = {
    "NVIDIA H200": "h200-141gb",
    "NVIDIA H100 80GB HBM3": "h100-80gb",
    "NVIDIA A100-SXM4-80GB": "a100-80gb",
}
