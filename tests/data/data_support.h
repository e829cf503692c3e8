#pragma once
// Helpers that the tests of `data` share: datasets made by hand, and the message of an error.

#include "headwater/base/error.h"
#include "headwater/base/file.h"
#include "headwater/base/random.h"
#include "src/data/indexed_dataset_writer.h"

#include <functional>
#include <string>
#include <vector>

namespace headwater {

using Tokens = std::vector<std::int32_t>;

inline std::string user_error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UserError& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another error: ") + error.what();
  }
  return "no error";
}

inline void write_bytes(const Path& path, std::string_view bytes) {
  OutputFile file = OutputFile::create(path);
  file.write(bytes);
  file.close();
}

// Writes a dataset with one sequence per document, and returns its prefix.
inline std::string write_dataset(const Path& prefix, const std::vector<Tokens>& documents,
                                 TokenType type = TokenType::uint16) {
  IndexedDatasetWriter writer(prefix.native(), type);
  for (const Tokens& document : documents) {
    writer.append(document);
    writer.end_sequence();
    writer.end_document();
  }
  writer.finish();
  return prefix.native();
}

inline Tokens counted(std::int64_t count, std::int32_t first = 0) {
  Tokens tokens;
  for (std::int64_t i = 0; i < count; ++i) tokens.push_back(first + static_cast<std::int32_t>(i));
  return tokens;
}

// Text with the habits of code: made-up words that recur, indentation by spaces and tabs, numbers, blank
// lines, and a character outside ASCII here and there. At least `bytes` long; ends with a line.
inline std::string made_up_text(std::uint64_t seed, std::size_t bytes) {
  const char* syllables[] = {"re", "turn", "con", "st", "va", "lue", "si", "ze", "vec", "tor", "in", "dex"};
  std::string text;
  std::uint64_t at = 0;
  const auto pick = [&](int n) { return static_cast<int>(uniform(RandomKey{seed}, at++) * n); };
  while (text.size() < bytes) {
    text += pick(2) == 0 ? std::string(static_cast<std::size_t>(pick(4)), '\t')
                         : std::string(static_cast<std::size_t>(2 * pick(5)), ' ');
    for (int words = 1 + pick(6); words > 0; --words) {
      for (int parts = 1 + pick(3); parts > 0; --parts) text += syllables[pick(12) * pick(12) / 12];
      text += pick(20) == 0 ? "\xE6\xBA\x90 " : pick(3) == 0 ? fmt::format("({}) ", pick(2000)) : " ";
    }
    text += pick(8) == 0 ? "{\n\n" : ";\n";
  }
  return text;
}

inline std::vector<std::string> names_in(const Path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename());
  return names;
}

}  // namespace headwater
