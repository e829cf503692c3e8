#include "headwater/data/tokenizer.h"

#include "tokenizers.h"

namespace headwater {

std::string joined_texts(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  std::string text;
  for (const std::int32_t id : ids) text += tokenizer.token_text(id);
  return text;
}

std::unique_ptr<Tokenizer> make_tokenizer(const std::string& spec) {
  return spec == kBytesSpec ? make_bytes_tokenizer() : make_sentencepiece_tokenizer(spec);
}

}  // namespace headwater
