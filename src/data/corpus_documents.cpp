#include "headwater/base/error.h"

#include "corpus.h"
#include "utf8.h"

#include <nlohmann/json.hpp>

namespace headwater {
namespace {

// Returns the text of one JSONL line. Throws UserError if the line is not UTF-8, not JSON, or has no text.
std::string text_of_line(std::string_view line, const CorpusPiece& piece, std::int64_t first_byte,
                         std::int64_t number) {
  const std::string& path = piece.file->path.native();
  if (const std::size_t bad = first_invalid_utf8(line); bad != kValid)
    throw UserError("{} line {} is not UTF-8: byte {} of the file is 0x{:02x}", path, number,
                    first_byte + static_cast<std::int64_t>(bad), static_cast<unsigned char>(line[bad]));
  const auto value = nlohmann::json::parse(line, nullptr, false);
  if (value.is_discarded()) throw UserError("{} line {} is not JSON", path, number);
  const auto text = value.is_object() ? value.find("text") : value.end();
  if (text == value.end() || !text->is_string())
    throw UserError("{} line {} has no text; a line is {{\"text\": \"...\"}}", path, number);
  return text->get<std::string>();
}

std::int64_t for_each_line(const CorpusPiece& piece, bool skip_invalid, const VisitPart& visit) {
  std::int64_t skipped = 0, number = piece.first_line;
  const std::string_view text = piece.text;
  for (std::size_t begin = 0; begin < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      std::optional<std::string> document;
      try {
        document = text_of_line(line, piece, piece.first_byte + static_cast<std::int64_t>(begin), number);
      } catch (const UserError&) {
        if (!skip_invalid) throw;
        ++skipped;
      }
      if (document) visit(*document, true);
    }
    begin = end + 1;
  }
  return skipped;
}

}  // namespace

std::int64_t for_each_part(const CorpusPiece& piece, bool skip_invalid, const VisitPart& visit) {
  if (piece.skipped) return 1;
  if (piece.file->jsonl) return for_each_line(piece, skip_invalid, visit);
  if (const std::size_t bad = first_invalid_utf8(piece.text); bad != kValid)
    throw UserError("{} is not UTF-8: its byte {} is 0x{:02x}", piece.file->path.native(),
                    piece.first_byte + static_cast<std::int64_t>(bad),
                    static_cast<unsigned char>(piece.text[bad]));
  visit(piece.text, piece.ends_document);
  return 0;
}

}  // namespace headwater
