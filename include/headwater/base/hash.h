#pragma once
// The checksum of every file that Headwater writes: xxHash's XXH3 with 64 bits, of bytes that may be added
// in pieces.
//
// An object belongs to one thread.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace headwater {

class ContentHash {
 public:
  ContentHash();
  ~ContentHash();

  void add(std::span<const std::byte> bytes);
  std::uint64_t digest() const;  // of everything added so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace headwater
