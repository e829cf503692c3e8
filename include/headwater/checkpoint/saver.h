#pragma once
// Saves checkpoints in two halves: stage() copies this rank's tensors to memory of its own (training may go
// on), commit() writes, syncs, agrees with all ranks, renames and moves `latest`.
//
// One per rank, called by its compute thread. commit() is collective over `ranks`, whose rank 0 makes folders
// and writes the manifest; it needs a communicator of its own. Either the new checkpoint is complete on every
// rank, or every rank throws the first failing rank's reason, nothing of the new one is left and `latest`
// stands as before. A lost peer is a CommError; what it leaves behind SaveFolder::claim removes.

#include "headwater/checkpoint/manifest.h"
#include "headwater/checkpoint/save_folder.h"
#include "headwater/comm/communicator.h"
#include "headwater/tensor/tensor_view.h"

#include <string>
#include <vector>

namespace headwater {

// A part of a parameter's state that this rank, and no other, writes.
struct SaveTensor {
  std::string name;  // of the parameter
  StateKind kind = StateKind::weight;
  Shape global_shape;
  Slice slice;
  TensorView data;  // f32, host, dense, slice.count elements
};

class Saver {
 public:
  // `keep` as in training.keep: 0 is all.
  Saver(SaveFolder folder, Communicator& ranks, std::int64_t keep);

  void stage(const std::vector<SaveTensor>& tensors);
  // Writes what was staged as the checkpoint of header.counters.step. Does nothing where `latest` names that
  // step already: the state after a step is the same however often it is saved.
  void commit(const SaveHeader& header);

 private:
  struct Staged {
    SaveTensor tensor;  // its data are in `bytes`
    std::vector<std::byte> bytes;
  };
  bool begin(const Path& temporary, std::int64_t step) const;
  std::vector<const SaveTensor*> staged(bool weights) const;
  Manifest write_files(const Path& temporary) const;
  void publish(const Path& temporary, const Manifest& manifest) const;

  SaveFolder folder_;
  Communicator& ranks_;
  std::int64_t keep_;
  std::vector<Staged> staged_;
};

}  // namespace headwater
