#include "ordered_encoder.h"

#include "utf8.h"

#include <utility>

namespace headwater {
namespace {

// The length of the ring per thread. It is long enough that a slow piece does not hold the other workers up.
constexpr int kPiecesPerThread = 4;

}  // namespace

OrderedEncoder::OrderedEncoder(CorpusReader& reader, const Tokenizer& tokenizer, bool skip_invalid,
                               int threads)
    : reader_(reader), tokenizer_(tokenizer), skip_invalid_(skip_invalid) {
  ring_.resize(static_cast<std::size_t>(threads * kPiecesPerThread));
  try {
    for (int i = 0; i < threads; ++i) workers_.emplace_back([this] { work(); });
  } catch (...) {
    stop();
    throw;
  }
}

OrderedEncoder::~OrderedEncoder() { stop(); }

void OrderedEncoder::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  room_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

std::optional<EncodedPiece> OrderedEncoder::next() {
  std::unique_lock lock(mutex_);
  auto& slot = ring_[static_cast<std::size_t>(next_out_) % ring_.size()];
  ready_.wait(lock, [&] { return slot || (ended_ && next_out_ == next_in_); });
  if (!slot) return std::nullopt;
  EncodedPiece piece = std::move(*slot);
  slot.reset();
  ++next_out_;
  lock.unlock();
  room_.notify_one();
  if (piece.error) std::rethrow_exception(piece.error);
  return piece;
}

// Waits until the ring has a free slot, then reads the next piece and gives it a number. Returns false if
// there is none. If reading throws, the error becomes the result of that piece, which is the last.
bool OrderedEncoder::take(CorpusPiece& piece, std::int64_t& number, EncodedPiece& result) {
  const std::lock_guard turn(turn_);
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] {
      return stopped_ || ended_ || next_in_ - next_out_ < static_cast<std::int64_t>(ring_.size());
    });
    if (stopped_ || ended_) return false;
  }
  std::optional<CorpusPiece> read;
  try {
    read = reader_.next();
  } catch (...) {
    result.error = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  ended_ = !read;
  if (!read && !result.error) {
    ready_.notify_one();
    return false;
  }
  number = next_in_++;
  if (read) piece = std::move(*read);
  return true;
}

void OrderedEncoder::work() {
  for (;;) {
    CorpusPiece piece;
    std::int64_t number = 0;
    EncodedPiece result;
    if (!take(piece, number, result)) return;
    try {
      if (!result.error) encode(piece, result);
    } catch (...) {
      result.error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    ring_[static_cast<std::size_t>(number) % ring_.size()] = std::move(result);
    ready_.notify_one();
  }
}

void OrderedEncoder::encode(const CorpusPiece& piece, EncodedPiece& result) const {
  result.bytes = piece.skipped ? piece.file->bytes : static_cast<std::int64_t>(piece.text.size());
  const bool begins_document = piece.file->jsonl || piece.first_byte == 0;
  const auto encode_part = [&](std::string_view text, bool ends_document) {
    const std::size_t before = result.tokens.size();
    while (!text.empty()) {
      const std::size_t length = chunk_length(text, kLeastChunk, kMostChunk);
      tokenizer_.encode(text.substr(0, length), result.tokens);
      text.remove_prefix(length);
    }
    if (!ends_document) return;
    if (begins_document && result.tokens.size() == before) {
      ++result.empty;
      return;
    }
    result.tokens.push_back(tokenizer_.eod());
    result.document_ends.push_back(result.tokens.size());
  };
  result.skipped = for_each_part(piece, skip_invalid_, encode_part);
}

}  // namespace headwater
