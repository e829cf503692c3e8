#include "headwater/base/error.h"
#include "headwater/base/file.h"
#include "tokenizers.h"

#include <sentencepiece_processor.h>

namespace headwater {
namespace {

// U+2581, which stands for a space in SentencePiece's pieces.
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
constexpr std::string_view kUnknownText = " \xE2\x81\x87 ";  // what SentencePiece prints for <unk>

std::string with_spaces(std::string_view piece) {
  std::string text;
  for (std::size_t at = 0; at < piece.size();) {
    const bool mark = piece.substr(at, kSpaceMark.size()) == kSpaceMark;
    text += mark ? ' ' : piece[at];
    at += mark ? kSpaceMark.size() : 1;
  }
  return text;
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(const std::string& path) : path_(path) {
    if (!std::filesystem::exists(path))
      throw UserError("tokenizer {} does not exist; it would be \"{}\" or the path of a SentencePiece model",
                      path, kBytesSpec);
    const std::string model = read_text(path);
    if (model.empty() || !processor_.LoadFromSerializedProto(model).ok() || processor_.GetPieceSize() < 1)
      throw UserError("tokenizer {} is not a SentencePiece model", path);
    find_eod();
    fill_texts();
    find_space_rules();
  }

  std::int32_t vocab_size() const override { return static_cast<std::int32_t>(texts_.size()); }
  std::int32_t eod() const override { return eod_; }

  void encode(std::string_view text, std::vector<std::int32_t>& ids) const override {
    if (mark_ids_.empty()) {
      encode_part(text, ids);
      return;
    }
    // The library would take a mark in the text for a space. It is encoded as three bytes instead, which
    // decode to it.
    for (;;) {
      const std::size_t mark = text.find(kSpaceMark);
      encode_part(text.substr(0, mark), ids);
      if (mark == std::string_view::npos) return;
      ids.insert(ids.end(), mark_ids_.begin(), mark_ids_.end());
      text.remove_prefix(mark + kSpaceMark.size());
    }
  }

  std::string token_text(std::int32_t id) const override {
    return id >= 0 && id < vocab_size() ? texts_[static_cast<std::size_t>(id)]
                                        : std::string(kReplacementCharacter);
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text = joined_texts(*this, ids);
    if (leading_space_ && text.starts_with(' ')) text.erase(0, 1);
    return text;
  }

 private:
  void find_eod() {
    eod_ = processor_.PieceToId(kEodPiece);
    if (eod_ >= 0 && eod_ < processor_.GetPieceSize() && processor_.IdToPiece(eod_) == kEodPiece) return;
    eod_ = processor_.eos_id();
    if (eod_ < 0)
      throw UserError(
          "tokenizer {} has neither a piece \"{}\" nor an end-of-sequence piece to close documents with",
          path_, kEodPiece);
  }

  void fill_texts() {
    const int pieces = processor_.GetPieceSize();
    texts_.reserve(static_cast<std::size_t>(pieces));
    for (int id = 0; id < pieces; ++id) {
      const std::string& piece = processor_.IdToPiece(id);
      if (id == eod_ || processor_.IsControl(id))
        texts_.emplace_back();
      else if (processor_.IsByte(id))  // "<0xE2>"
        texts_.emplace_back(1, static_cast<char>(std::stoi(piece.substr(3, 2), nullptr, 16)));
      else if (processor_.IsUnknown(id))
        texts_.emplace_back(kUnknownText);
      else
        texts_.push_back(with_spaces(piece));
    }
  }

  void find_space_rules() {
    std::vector<std::string> pieces;
    leading_space_ =
        processor_.Encode("a", &pieces).ok() && !pieces.empty() && pieces[0].starts_with(kSpaceMark);
    if (leading_space_) return;  // marks cannot be cut out: each part of the text would get a leading space
    for (const char* byte : {"<0xE2>", "<0x96>", "<0x81>"}) {
      const int id = processor_.PieceToId(byte);
      if (processor_.IsByte(id)) mark_ids_.push_back(id);
    }
    if (mark_ids_.size() < kSpaceMark.size()) mark_ids_.clear();
  }

  void encode_part(std::string_view text, std::vector<std::int32_t>& ids) const {
    std::vector<int> part;
    const auto status = processor_.Encode(text, &part);
    HW_CHECK(status.ok(), "SentencePiece cannot encode {} bytes: {}", text.size(), status.ToString());
    ids.insert(ids.end(), part.begin(), part.end());
  }

  std::string path_;
  sentencepiece::SentencePieceProcessor processor_;
  std::int32_t eod_ = -1;
  std::vector<std::string> texts_;      // by id
  bool leading_space_ = false;          // whether the model puts a space before a text
  std::vector<std::int32_t> mark_ids_;  // the byte tokens of kSpaceMark; empty if marks are encoded as spaces
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const std::string& path) {
  return std::make_unique<SentencePieceTokenizer>(path);
}

}  // namespace headwater
