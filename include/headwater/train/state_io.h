#pragma once
// Between a rank's parameters and what is stored: weights from any source, optimizer state from a checkpoint,
// and the list of what this rank saves. Any layout reads what any layout wrote.

#include "headwater/checkpoint/checkpoint.h"
#include "headwater/checkpoint/saver.h"
#include "headwater/nn/parameter_store.h"
#include "headwater/run/rank_layout.h"

#include <vector>

namespace headwater {

// Masters and weights of everything that the store holds.
void load_weights(ParameterStore& store, Backend& backend, const WeightSource& source);
void load_moments(ParameterStore& store, Backend& backend, const Checkpoint& checkpoint);

// The part of the state that this rank, and no other, writes: nothing of what it holds as a copy. Host
// tensors that stay valid as long as the result (where the device is the CPU, views of the store itself).
class StateToSave {
 public:
  StateToSave(const ParameterStore& store, Backend& backend);
  const std::vector<SaveTensor>& tensors() const { return tensors_; }

 private:
  std::vector<SaveTensor> tensors_;
  std::vector<std::vector<std::byte>> copies_;
};

}  // namespace headwater
