#pragma once
// Encodes the pieces of a corpus on several threads, and returns the results in the order of the corpus.
//
// Workers take turns at the reader, encode in parallel, and put each result into a ring, at the slot of its
// number. A worker reads no further ahead than the ring is long, so that memory is bounded even if the owner
// is slow. The owner calls next() from one thread.

#include "corpus.h"
#include "headwater/data/tokenizer.h"

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace headwater {

struct EncodedPiece {
  std::vector<std::int32_t> tokens;        // eods included
  std::vector<std::size_t> document_ends;  // where documents end in `tokens`; the tokens after the last go on
  std::int64_t bytes = 0;                  // bytes of the corpus that the piece is
  std::int64_t empty = 0, skipped = 0;     // documents that were left out
  std::exception_ptr error;
};

class OrderedEncoder {
 public:
  OrderedEncoder(CorpusReader& reader, const Tokenizer& tokenizer, bool skip_invalid, int threads);
  ~OrderedEncoder();
  OrderedEncoder(const OrderedEncoder&) = delete;
  OrderedEncoder& operator=(const OrderedEncoder&) = delete;

  // Returns the next piece, or nothing at the end. Throws what reading or encoding the piece threw.
  std::optional<EncodedPiece> next();

 private:
  void work();
  bool take(CorpusPiece& piece, std::int64_t& number, EncodedPiece& result);
  void encode(const CorpusPiece& piece, EncodedPiece& result) const;
  void stop();

  CorpusReader& reader_;
  const Tokenizer& tokenizer_;
  const bool skip_invalid_;

  std::mutex turn_;   // held by the worker that reads; taken before mutex_
  std::mutex mutex_;  // guards the members below
  std::condition_variable room_, ready_;
  std::vector<std::optional<EncodedPiece>> ring_;
  std::int64_t next_in_ = 0, next_out_ = 0;
  bool ended_ = false, stopped_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace headwater
