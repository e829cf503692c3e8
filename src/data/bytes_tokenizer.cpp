#include "tokenizers.h"

namespace headwater {
namespace {

constexpr std::int32_t kEod = 256;

class BytesTokenizer final : public Tokenizer {
 public:
  std::int32_t vocab_size() const override { return kEod + 1; }
  std::int32_t eod() const override { return kEod; }

  void encode(std::string_view text, std::vector<std::int32_t>& ids) const override {
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    ids.insert(ids.end(), bytes, bytes + text.size());
  }

  std::string token_text(std::int32_t id) const override {
    if (id == kEod) return "";
    return id >= 0 && id < kEod ? std::string(1, static_cast<char>(id)) : std::string(kReplacementCharacter);
  }

  std::string decode(std::span<const std::int32_t> ids) const override { return joined_texts(*this, ids); }
};

}  // namespace

std::unique_ptr<Tokenizer> make_bytes_tokenizer() { return std::make_unique<BytesTokenizer>(); }

}  // namespace headwater
