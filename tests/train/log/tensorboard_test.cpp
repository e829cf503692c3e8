#include "headwater/train/log/tensorboard.h"

#include "headwater/base/error.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace headwater {
namespace {

std::uint32_t crc_of(std::string_view text) { return crc32c(std::as_bytes(std::span(text))); }

// Bit by bit from the definition: x^32 + x^28 + … (0x1EDC6F41), least significant bit first.
std::uint32_t plain_masked_crc(std::string_view text) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char c : text)
    for (int bit = 0; bit < 8; ++bit) {
      const std::uint32_t out = (crc ^ (static_cast<unsigned char>(c) >> bit)) & 1;
      crc = (crc >> 1) ^ (out * 0x82F63B78);
    }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
}

template <class T>
T fixed(std::string_view bytes) {
  if (bytes.size() < sizeof(T)) throw std::runtime_error("cut short");
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

template <class T>
T take(std::string_view& bytes) {
  const T value = fixed<T>(bytes);
  bytes.remove_prefix(sizeof(T));
  return value;
}

std::string_view take_bytes(std::string_view& bytes, std::uint64_t size) {
  if (bytes.size() < size) throw std::runtime_error("cut short");
  const std::string_view taken = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return taken;
}

std::uint64_t take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(take<char>(bytes));
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

// The fields of a message in order: the bytes of each value, a varint as its eight bytes.
std::vector<std::pair<std::uint64_t, std::string>> fields_of(std::string_view message) {
  std::vector<std::pair<std::uint64_t, std::string>> fields;
  while (!message.empty()) {
    const std::uint64_t key = take_varint(message);
    std::string value;
    switch (key & 7) {
      case 0: {
        const std::uint64_t number = take_varint(message);
        value.assign(reinterpret_cast<const char*>(&number), sizeof number);
        break;
      }
      case 1: value = take_bytes(message, 8); break;
      case 2: value = take_bytes(message, take_varint(message)); break;
      case 5: value = take_bytes(message, 4); break;
      default: throw std::runtime_error("unknown wire type");
    }
    fields.emplace_back(key >> 3, value);
  }
  return fields;
}

struct Event {
  double wall_time = 0.0;
  std::int64_t step = 0;
  std::string file_version;
  std::int64_t session_status = 0;
  std::map<std::string, float> scalars;
};

Event decode_event(std::string_view bytes) {
  Event event;
  for (const auto& [field, value] : fields_of(bytes)) {
    if (field == 1) event.wall_time = fixed<double>(value);
    if (field == 2) event.step = fixed<std::int64_t>(value);
    if (field == 3) event.file_version = value;
    if (field == 7) event.session_status = fixed<std::int64_t>(fields_of(value).at(0).second);
    if (field != 5) continue;
    for (const auto& [summary_field, entry] : fields_of(value)) {
      EXPECT_EQ(summary_field, 1U);
      const auto parts = fields_of(entry);
      EXPECT_EQ(parts.size(), 2U);
      EXPECT_EQ(parts.at(0).first, 1U);
      EXPECT_EQ(parts.at(1).first, 2U);
      event.scalars[parts.at(0).second] = fixed<float>(parts.at(1).second);
    }
  }
  return event;
}

Path only_file_of(const Path& folder) {
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  EXPECT_EQ(files.size(), 1U);
  return files.at(0);
}

std::vector<Event> read_events(const Path& folder) {
  const std::string file = read_text(only_file_of(folder));
  std::vector<Event> events;
  for (std::string_view rest = file; !rest.empty();) {
    const std::string_view length = take_bytes(rest, 8);
    EXPECT_EQ(take<std::uint32_t>(rest), plain_masked_crc(length));
    const std::string_view event = take_bytes(rest, fixed<std::uint64_t>(length));
    EXPECT_EQ(take<std::uint32_t>(rest), plain_masked_crc(event));
    events.push_back(decode_event(event));
  }
  return events;
}

TEST(Crc32c, KnownVectors) {
  EXPECT_EQ(crc_of(""), 0U);
  EXPECT_EQ(crc_of("123456789"), 0xE3069283U);
  // RFC 3720, B.4.
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc_of(std::string(32, '\xFF')), 0x62A8AB43U);
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending.push_back(c);
  EXPECT_EQ(crc_of(ascending), 0x46DD794EU);
}

TEST(TensorBoard, AFileBeginsAsEveryEventFileDoes) {
  const TemporaryFolder folder;
  const TensorBoardWriter writer(folder / "a/b", 1);
  const Path path = only_file_of(folder / "a/b");
  EXPECT_TRUE(path.filename().native().starts_with("events.out.tfevents."));
  EXPECT_TRUE(path.native().ends_with("." + std::to_string(::getpid())));
  // Length 24 with its checksum, as TensorFlow writes it, then wall_time (whose eight bytes vary) and
  // file_version.
  const std::string bytes = read_text(path);
  const std::string length("\x18\0\0\0\0\0\0\0\xA3\x7F\x4B\x22", 12);
  EXPECT_EQ(bytes.substr(0, 13), length + "\x09");
  EXPECT_EQ(bytes.substr(21, 15),
            "\x1A\x0D"
            "brain.Event:2");
}

TEST(TensorBoard, StepsAndEvaluationsAreReadBack) {
  const TemporaryFolder folder;
  TensorBoardWriter writer(folder.path(), 300);
  StepMetrics step;
  step.step = 300;  // two bytes of varint
  step.loss = 10.345;
  step.grad_norm = std::numeric_limits<double>::infinity();
  step.lr = 1e-4;
  step.elapsed_ms = 125.0;
  step.tokens_per_second = 1e6;
  step.skipped = 2;
  writer.add(step);
  step.mfu = 0.5;
  step.step = std::int64_t{1} << 40;
  writer.add(step);
  writer.add(EvaluationMetrics{.step = 0, .validation_loss = 2.0});
  writer.flush();

  const auto events = read_events(folder.path());
  ASSERT_EQ(events.size(), 6U);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_EQ(events[1].session_status, 1);
  EXPECT_EQ(events[1].step, 300);
  const std::map<std::string, float> scalars = {{"loss", 10.345F},
                                                {"grad_norm", std::numeric_limits<float>::infinity()},
                                                {"lr", 1e-4F},
                                                {"elapsed_ms", 125.0F},
                                                {"tokens_per_second", 1e6F},
                                                {"skipped", 2.0F}};
  EXPECT_EQ(events[2].step, 300);
  EXPECT_EQ(events[2].scalars, scalars);
  EXPECT_EQ(events[3].step, std::int64_t{1} << 40);
  EXPECT_EQ(events[3].scalars, scalars);
  EXPECT_EQ(events[4].step, std::int64_t{1} << 40);
  EXPECT_EQ(events[4].scalars, (std::map<std::string, float>{{"mfu", 0.5F}}));
  EXPECT_EQ(events[5].step, 0);
  EXPECT_EQ(events[5].scalars,
            (std::map<std::string, float>{{"validation_loss", 2.0F},
                                          {"validation_perplexity", static_cast<float>(std::exp(2.0))}}));
  for (const Event& event : events)
    EXPECT_NEAR(event.wall_time, static_cast<double>(std::time(nullptr)), 60.0);
}

TEST(TensorBoard, ADiskThatRefusesIsASystemError) {
  const TemporaryFolder folder;
  TensorBoardWriter writer(folder.path(), 1);
  writer.add(StepMetrics{});
  inject_write_fault(1, ENOSPC);
  EXPECT_THROW(writer.flush(), SystemError);
  write_text_atomically(folder / "file", "");
  EXPECT_THROW(TensorBoardWriter(folder / "file", 1), UserError);
}

}  // namespace
}  // namespace headwater
