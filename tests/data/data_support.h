#pragma once
// What the tests of `data` share: datasets made by hand, and the message of an error.

#include "headwater/base/error.h"
#include "headwater/base/file.h"
#include "headwater/data/indexed_dataset_writer.h"

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

// One sequence per document.
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

inline std::vector<std::string> names_in(const Path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename());
  return names;
}

}  // namespace headwater
