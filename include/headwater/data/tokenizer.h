#pragma once
// Turns text into token ids and back. A tokenizer is immutable: any thread may call any method.
//
// There are two kinds: "bytes" (ids 0 to 255 are the bytes, 256 ends a document) and SentencePiece models.
// encode() never adds the end of document; the code that puts a document together does.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual std::int32_t vocab_size() const = 0;
  virtual std::int32_t eod() const = 0;  // the id that closes a document

  // Appends the ids of `text` to `ids`. The text must be valid UTF-8; the kind "bytes" takes any bytes.
  virtual void encode(std::string_view text, std::vector<std::int32_t>& ids) const = 0;
  // Returns the bytes that one token adds to a text, which may be a part of a character. A printed
  // continuation is the token_text of its tokens one after the other. It is empty for the end of document
  // and other control tokens, and U+FFFD for an id outside the vocabulary (a model's vocabulary may be
  // larger than its tokenizer's).
  virtual std::string token_text(std::int32_t id) const = 0;
  // Returns a whole text: the token_text of all ids, without the space that some SentencePiece models put
  // before a text.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    encode(text, ids);
    return ids;
  }
};

// `spec` is "bytes" or the path of a SentencePiece model. Throws UserError if the file is missing or no such
// model, or if the model has neither a piece "<eod>" nor an end-of-sequence id.
std::unique_ptr<Tokenizer> make_tokenizer(const std::string& spec);

}  // namespace headwater
