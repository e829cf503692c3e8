#pragma once
// TensorBoard's event files: scalars under the names that metrics.jsonl gives them.
//
// docs/formats/metrics.md specifies the bytes. Rank 0 alone holds a writer; used by one thread. Errors of the
// disk are thrown.

#include "headwater/train/log/metrics.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>

namespace headwater {

// CRC-32C (Castagnoli) of bytes, which frames every record.
std::uint32_t crc32c(std::span<const std::byte> bytes);

class TensorBoardWriter {
 public:
  // Makes FOLDER and a new event file in it. Steps from `next_step` on in the folder's older files were lost
  // with the run before, so the file tells TensorBoard to drop them.
  TensorBoardWriter(const Path& folder, std::int64_t next_step);

  void add(const StepMetrics& step);
  void add(const EvaluationMetrics& evaluation);
  void flush();  // hands everything to the system

 private:
  using Scalar = std::pair<std::string_view, double>;
  void add(std::int64_t step, std::initializer_list<Scalar> scalars);
  void write_record(std::string_view event);

  OutputFile out_;
};

}  // namespace headwater
