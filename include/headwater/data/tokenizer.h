#pragma once
// Text to token ids and back. A tokenizer is immutable: any thread may call any method.
//
// Two kinds: "bytes" (ids 0..255 are the bytes, 256 ends a document) and SentencePiece models. encode never
// adds the end of document; whoever builds a document does.

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

  virtual const std::string& spec() const = 0;  // what make_tokenizer was given
  virtual std::int32_t vocab_size() const = 0;
  virtual std::int32_t eod() const = 0;  // the id that closes a document

  // Appends the ids of `text`, which is valid UTF-8 (bytes: anything).
  virtual void encode(std::string_view text, std::vector<std::int32_t>& ids) const = 0;
  // The bytes that one token adds to a text: a printed continuation is the token_text of its tokens, one
  // after the other (a character may be made of several). Empty for the end of document and other control
  // tokens; U+FFFD for an id outside the vocabulary (a model's vocabulary may be larger than its
  // tokenizer's).
  virtual std::string token_text(std::int32_t id) const = 0;
  // A whole text: the tokens' texts, without the space that some SentencePiece models put before a text.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    encode(text, ids);
    return ids;
  }
};

// `spec` is "bytes" or the path of a SentencePiece model. UserError where the file is missing, is no such
// model, or has neither a piece "<eod>" nor an end-of-sequence id.
std::unique_ptr<Tokenizer> make_tokenizer(const std::string& spec);

}  // namespace headwater
