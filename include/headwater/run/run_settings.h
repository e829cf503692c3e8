#pragma once
// The settings that a run computes with: each value of the training section that says how, with `auto`
// decided.

#include "headwater/model/activation_spec.h"
#include "headwater/tensor/device.h"

#include <string>

namespace headwater {

// `dtype` and `threads` are recorded with a checkpoint, and a resume uses them again. The other members are
// what a backend is made by.
struct RunSettings {
  std::string dtype;   // "fp32" or "bf16"
  int threads = 1;     // of each rank
  Device device = {};  // this rank's; all ranks have the same kind
  bool deterministic = true;
  bool graphs = false;
  std::string matmul_algorithms = {};  // the file of training.matmul_algorithms; empty: none
};

// The types in which a run of this dtype computes and adds up: bf16 is added up in fp32.
Precision precision_of(const std::string& dtype);

}  // namespace headwater
