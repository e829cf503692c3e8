#pragma once
// Saves checkpoints in two halves: stage() copies this rank's tensors to memory of its own (training may go on), commit()
// writes, syncs, agrees with all ranks, renames and moves `latest`.
//
// One per rank, called by its compute thread. commit() is collective over `ranks`, whose rank 0 makes folders and writes
// the manifest; it needs a communicator of its own. Either the new checkpoint is complete on every rank, or every rank
// throws the first failing rank's reason, nothing of the new one is left and `latest` stands as before. A lost peer is a
// CommError; what it leaves behind SaveFolder::claim removes.

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
  TensorView data;   // f32, host, dense, slice.count elements
};

class Saver {
 public:
  // `keep` as in training.keep: 0 is all.
  Saver(const SaveFolder& folder, Communicator& ranks, std::int64_t keep);

  void stage(const std::vector<SaveTensor>& tensors);
  // Writes what was staged as the checkpoint of header.counters.step. Does nothing where `latest` names that step already:
  // the state after a step is the same however often it is saved.
  void commit(const SaveHeader& header);

  std::int64_t staged_bytes() const;  // memory that stage() holds

 private:
  struct Staged {
    SaveTensor tensor;
    std::vector<std::byte> bytes;
  };
  struct FileRoles;
  void write_files(const Path& folder, const FileRoles& roles, Manifest& own) const;
  void agree(const std::string& failure, int exit_code, const Path& temporary) const;

  SaveFolder folder_;
  Communicator& ranks_;
  std::int64_t keep_;
  std::vector<Staged> staged_;
};

}  // namespace headwater
