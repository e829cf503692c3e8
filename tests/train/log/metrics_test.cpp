#include "headwater/train/log/metrics.h"

#include "headwater/base/error.h"
#include "headwater/base/log.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {
namespace {

std::vector<nlohmann::json> lines_of(const Path& path) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(read_text(path));
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

// Not to the disk, so that it costs nothing.
void write_text(const Path& path, std::string_view text) {
  OutputFile file = OutputFile::create(path);
  file.write(text);
  file.close();
}

StepMetrics step_number(std::int64_t step) {
  StepMetrics metrics;
  metrics.step = step;
  metrics.loss = 10.0 / 3.0;
  metrics.grad_norm = std::sqrt(2.0);
  return metrics;
}

TEST(MetricsFile, HoldsOneObjectALineWithEveryField) {
  const TemporaryFolder folder;
  const Path path = folder / "new/folder/metrics.jsonl";
  MetricsFile file(path);
  EXPECT_EQ(file.run(), 1);
  StepMetrics step = step_number(7);
  step.lr = 1e-4;
  step.tokens = std::int64_t{1} << 53;
  step.samples = 224;
  step.elapsed_ms = 12.5;
  step.tokens_per_second = 1e6;
  step.mfu = 0.25;
  step.applied = false;
  step.skipped = 3;
  step.clip_factor = 0.5;
  step.waiting_ms = 1.5;
  file.write(step);
  file.write(EvaluationMetrics{.step = 7, .validation_loss = 2.0, .validation_tokens = 100, .tokens = 4096});
  step.mfu.reset();
  file.write(step);

  const auto lines = lines_of(path);  // while the file is still open
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0], nlohmann::json({{"step", 7},
                                      {"run", 1},
                                      {"loss", 10.0 / 3.0},
                                      {"grad_norm", std::sqrt(2.0)},
                                      {"lr", 1e-4},
                                      {"tokens", std::int64_t{1} << 53},
                                      {"samples", 224},
                                      {"elapsed_ms", 12.5},
                                      {"tokens_per_second", 1e6},
                                      {"mfu", 0.25},
                                      {"applied", false},
                                      {"skipped", 3},
                                      {"clip_factor", 0.5},
                                      {"waiting_ms", 1.5}}));
  EXPECT_EQ(lines[1], nlohmann::json({{"step", 7},
                                      {"run", 1},
                                      {"validation_loss", 2.0},
                                      {"validation_perplexity", std::exp(2.0)},
                                      {"validation_tokens", 100},
                                      {"tokens", 4096}}));
  EXPECT_TRUE(lines[2].at("mfu").is_null());
}

TEST(MetricsFile, KeepsEveryBitOfTheLossAndWritesNullForWhatIsNotFinite) {
  const TemporaryFolder folder;
  const Path path = folder / "metrics.jsonl";
  MetricsFile file(path);
  for (const double loss : {0.1 + 0.2, 1.0 / 3e9, 123456789.125, 5e-324, 10.0}) {
    StepMetrics step = step_number(1);
    step.loss = loss;
    file.write(step);
    EXPECT_EQ(lines_of(path).back().at("loss").get<double>(), loss);
  }
  StepMetrics bad = step_number(2);
  bad.loss = std::numeric_limits<double>::quiet_NaN();
  bad.grad_norm = std::numeric_limits<double>::infinity();
  file.write(bad);
  file.write(EvaluationMetrics{.validation_loss = 1e6});
  const auto lines = lines_of(path);
  EXPECT_TRUE(lines[5].at("loss").is_null());
  EXPECT_TRUE(lines[5].at("grad_norm").is_null());
  EXPECT_TRUE(lines[6].at("validation_perplexity").is_null());
}

TEST(MetricsFile, EachRunIsOneHigherAndStepsAppearAgain) {
  const TemporaryFolder folder;
  const Path path = folder / "metrics.jsonl";
  for (const std::int64_t run : {1, 2, 3}) {
    MetricsFile file(path);
    EXPECT_EQ(file.run(), run);
    file.write(step_number(1));
    file.write(step_number(2));
    file.write(EvaluationMetrics{.step = 2});
  }
  const auto lines = lines_of(path);
  ASSERT_EQ(lines.size(), 9U);
  for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i].at("run"), i / 3 + 1);
}

// A kill may cut the last line anywhere: every such file is mended, and loses nothing else.
TEST(MetricsFile, ATornLastLineIsRemovedWhereverItWasCut) {
  const TemporaryFolder folder;
  {
    MetricsFile file(folder / "whole");
    file.write(step_number(1));
    file.write(step_number(2));
  }
  const std::string whole = read_text(folder / "whole");
  const std::size_t first = whole.find('\n') + 1;
  log::set_level(log::Level::error);  // some hundred warnings
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const Path path = folder / std::to_string(size);
    write_text(path, whole.substr(0, size));
    const std::size_t kept = size == whole.size() ? size : size >= first ? first : 0;
    MetricsFile file(path);
    EXPECT_EQ(read_text(path), whole.substr(0, kept)) << size;
    EXPECT_EQ(file.run(), kept == 0 ? 1 : 2) << size;
  }
  log::set_level(log::Level::info);
}

TEST(MetricsFile, ALastLineThatIsNoObjectIsRemoved) {
  const TemporaryFolder folder;
  const Path path = folder / "metrics.jsonl";
  const std::string line = "{\"step\":1,\"run\":4}\n";
  for (const std::string& torn :
       {std::string("{\"step\":2,\"ru\n"), std::string(30, '\0'), std::string("12\n"), std::string("\n"),
        std::string("{\"step\":2,\"run\":9}")}) {
    write_text(path, line + torn);
    EXPECT_EQ(MetricsFile(path).run(), 5) << torn;
    EXPECT_EQ(read_text(path), line) << torn;
  }
}

TEST(MetricsFile, TheRunBeforeIsFoundPastLinesWithoutOne) {
  const TemporaryFolder folder;
  const Path path = folder / "metrics.jsonl";
  write_text(path, "{\"step\":1,\"run\":12}\n{\"step\":2}\n[3]\n{\"run\":\"x\"}\n{\"step\":");
  EXPECT_EQ(MetricsFile(path).run(), 13);
}

TEST(MetricsFile, AnotherFileIsRefusedAndLeftAsItIs) {
  const TemporaryFolder folder;
  const Path path = folder / "config.json";
  for (const char* text : {"{\n \"model\": 1\n}", "some notes", "{\"steps\":1}", "\n"}) {
    write_text(path, text);
    EXPECT_THROW(MetricsFile{path}, UserError) << text;
    EXPECT_EQ(read_text(path), text);
  }
  EXPECT_THROW(MetricsFile{folder.path()}, UserError);
  EXPECT_THROW(MetricsFile{path / "metrics.jsonl"}, UserError);
}

TEST(MetricsFile, ADiskThatRefusesIsASystemErrorAndLosesNoEarlierLine) {
  const TemporaryFolder folder;
  const Path path = folder / "metrics.jsonl";
  MetricsFile file(path);
  file.write(step_number(1));
  const std::string before = read_text(path);
  inject_write_fault(1, ENOSPC);
  EXPECT_THROW(file.write(step_number(2)), SystemError);
  EXPECT_EQ(read_text(path), before);
  file.write(step_number(3));
  EXPECT_EQ(lines_of(path).back().at("step"), 3);
  EXPECT_THROW(MetricsFile("/dev/full").write(step_number(1)), SystemError);
}

TEST(MfuBasis, DividesWhatTheModelNeedsByThePeak) {
  MfuBasis basis{
      .model_flops_per_token = 6e9, .peak_flops = 2e12, .peak_source = "measured with oneDNN, bf16"};
  EXPECT_DOUBLE_EQ(basis.mfu(100.0).value(), 0.3);
  EXPECT_EQ(
      basis.statement(),
      "MFU = model FLOPs / (time × peak); model FLOPs = 3 × forward FLOPs (causal half of attention, head "
      "and LFA in; embedding look-up and recomputation out) = 6.0000E+09 per token; peak = 2.0000E+12 FLOP/s "
      "(measured with oneDNN, bf16)");
  basis.all_trained = false;
  EXPECT_NE(
      basis.statement().find("model FLOPs = 3 × forward FLOPs, less the weight gradients of what is not "
                             "trained, (causal half"),
      std::string::npos);
  basis.all_trained = true;
  basis.peak_flops.reset();
  basis.peak_source = "no bf16 peak is known of a GPU";
  EXPECT_FALSE(basis.mfu(100.0).has_value());
  EXPECT_TRUE(basis.statement().starts_with("no MFU: no bf16 peak is known of a GPU; model FLOPs = 3"));
}

}  // namespace
}  // namespace headwater
