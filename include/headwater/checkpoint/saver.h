#pragma once
// Saves checkpoints in two halves. stage() copies this rank's tensors, so that training may go on. commit()
// writes them, syncs the files, agrees with all ranks, renames the folder and moves `latest`; then it frees
// the copy.
//
// Each rank has one Saver, which its compute thread calls. commit() is collective over `ranks`, a
// communicator that nothing else uses; its rank 0 makes folders and writes the manifest. After commit() the
// new checkpoint is complete on every rank. If any rank fails, all ranks throw the reason of the first that
// did, nothing is left of the new checkpoint, and `latest` is unchanged. If a peer is lost, commit() throws
// CommError, and SaveFolder::claim of the next run removes what is left.

#include "headwater/checkpoint/manifest.h"
#include "headwater/checkpoint/save_folder.h"
#include "headwater/comm/communicator.h"
#include "headwater/tensor/device_memory.h"
#include "headwater/tensor/tensor_view.h"

#include <string>
#include <vector>

namespace headwater {

// A part of a parameter's state that this rank writes, and no other.
struct SaveTensor {
  std::string name;  // the parameter's
  StateKind kind = StateKind::weight;
  Shape global_shape;
  Slice slice;
  TensorView data;  // slice.count elements of f32, dense, on the host
};

class Saver {
 public:
  // `keep` is training.keep: how many checkpoints stay in the folder; 0 keeps all.
  Saver(SaveFolder folder, Communicator& ranks, std::int64_t keep);

  // Copies the tensors. Throws SystemError if the host lacks the memory.
  void stage(const std::vector<SaveTensor>& tensors);
  // Writes what was staged as the checkpoint of header.counters.step, and frees the copy, even if it throws.
  // Writes nothing if `latest` names that step already, since the state after a step is the same however
  // often it is saved.
  void commit(const SaveHeader& header);

 private:
  // A copy of tensors, whose data lie in `memory`.
  struct Staged {
    DeviceMemory memory;
    std::vector<SaveTensor> tensors;
  };
  bool begin(const Path& temporary, std::int64_t step) const;
  Manifest write_files(const Path& temporary, const std::vector<SaveTensor>& tensors) const;
  void publish(const Path& temporary, const Manifest& manifest) const;

  SaveFolder folder_;
  Communicator& ranks_;
  std::int64_t keep_;
  Staged staged_;
};

}  // namespace headwater
