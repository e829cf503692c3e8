#pragma once
// One call of one rank as the device goes through it: tell the peers, wait until all have come and mean the
// same, give them their data, take theirs, write the result. Where one of them means another call nobody goes
// on, as with the library.

#include "nccl_link.h"

#include <memory>
#include <string>

namespace emulation::nccl {

// As the program made it.
struct Call {
  std::string name;
  Shape shape;
  const void* send;  // null, as `receive`, where there is nothing
  void* receive;
  int peer;  // of a message
};

struct Rank {
  int rank, device;
  std::vector<std::unique_ptr<Link>> links;  // to each rank
  int size() const { return static_cast<int>(links.size()); }
};

// What a call reads and writes on that rank; `bytes` 0 where it does not.
struct Region {
  void* begin;
  std::size_t bytes;
};
Region input_of(const Call& call, const Rank& at);
Region output_of(const Call& call, const Rank& at);

class Exchange {
 public:
  Exchange(Call call, Rank& at, std::uint64_t number);

  bool asked() const;  // a peer has come to it
  bool advance();      // true when it is over
  void spoil();        // what it would have written

 private:
  struct Party {
    Link* link;
    int rank;
    std::size_t offset, bytes;  // what it gets of the input
    bool gives;                 // data for us
  };

  bool begin();
  bool all_have_come() const;
  void read_inputs();
  void write_result();
  Key mine() const { return {own_side_, number_}; }
  Key theirs() const;

  Call call_;
  Rank& at_;
  std::uint64_t number_;
  Side own_side_ = Side::everyone;
  std::vector<Party> parties_;  // in the order of ranks
  bool begun_ = false, read_ = false, sent_ = false, over_ = false;
  std::vector<Bytes> outgoing_;  // of each party
  Bytes own_;                    // this rank's part of the result
};

}  // namespace emulation::nccl
