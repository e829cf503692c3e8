#include "headwater/train/log/metrics.h"

#include "headwater/base/bytes.h"
#include "headwater/base/error.h"
#include "headwater/base/log.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace headwater {
namespace {

using nlohmann::ordered_json;  // keys as written: a file of ours begins with kBegin

constexpr std::string_view kBegin = "{\"step\":";

std::string_view text_of(const MappedFile& file) { return as_text(file.bytes()); }

// Returns the last line of `text`, which must not be empty, with its newline where it has one.
std::string_view last_line(std::string_view text) {
  const std::size_t end = text.size() - (text.ends_with('\n') ? 1 : 0);
  return text.substr(text.substr(0, end).rfind('\n') + 1);  // npos + 1 is 0
}

bool is_whole(std::string_view line) {
  return line.starts_with('{') && line.ends_with('\n') && ordered_json::accept(line);
}

void remove_torn_line(const Path& path) {
  std::size_t whole = 0, torn = 0;
  {
    const MappedFile file(path);
    const std::string_view text = text_of(file);
    if (text.empty()) return;
    // Nothing may be cut off a file that is not ours; a torn first line may be shorter than kBegin.
    if (text.substr(0, kBegin.size()) != kBegin.substr(0, text.size()))
      throw UserError("{} is not a metrics file: it should begin with {}", path.native(), kBegin);
    const std::string_view line = last_line(text);
    if (is_whole(line)) return;
    torn = line.size();
    whole = text.size() - torn;
  }
  std::error_code error;
  std::filesystem::resize_file(path, whole, error);
  if (error) throw_errno(error.value(), "truncate", path.native());
  log::warning("{}: removed the torn last line ({} bytes)", path.native(), torn);
}

// Returns the largest `run` of the file, 0 where no line has one. Runs never fall along the file, so that it
// is that of the last line that has one.
std::int64_t last_run(const Path& path) {
  const MappedFile file(path);
  for (std::string_view text = text_of(file); !text.empty();) {
    const std::string_view line = last_line(text);
    const auto object = ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (object.is_object() && object.contains("run") && object["run"].is_number_integer())
      return object["run"].get<std::int64_t>();
    text.remove_suffix(line.size());
  }
  return 0;
}

// The file is opened first, so that there is one to look into. What is appended goes to its end of that
// moment.
OutputFile open_at_end(const Path& path) {
  if (path.has_parent_path()) make_folders(path.parent_path());
  return OutputFile::append(path);
}

// Writes the line in one piece, so that a kill leaves whole lines and at most one torn one.
void write_line(OutputFile& out, const ordered_json& object) {
  out.write(object.dump() + '\n');
  out.flush();
}

}  // namespace

double EvaluationMetrics::validation_perplexity() const { return std::exp(validation_loss); }

std::optional<double> MfuBasis::mfu(double tokens_per_second) const {
  if (!peak_flops) return std::nullopt;
  return model_flops_per_token * tokens_per_second / *peak_flops;
}

std::string MfuBasis::statement() const {
  const std::string flops = fmt::format(
      "model FLOPs = 3 × forward FLOPs{} (causal half of attention, head and LFA in; embedding look-up and "
      "recomputation out) = {:.4E} per token",
      all_trained ? "" : ", less the weight gradients of what is not trained,", model_flops_per_token);
  if (!peak_flops) return fmt::format("no MFU: {}; {}", peak_source, flops);
  return fmt::format("MFU = model FLOPs / (time × peak); {}; peak = {:.4E} FLOP/s ({})", flops, *peak_flops,
                     peak_source);
}

MetricsFile::MetricsFile(const Path& path) : out_(open_at_end(path)) {
  remove_torn_line(path);
  run_ = last_run(path) + 1;
}

// Doubles are printed with as many digits as it takes to read the same bits back; those that are not finite
// as null.
void MetricsFile::write(const StepMetrics& step) {
  write_line(out_, {{"step", step.step},
                    {"run", run_},
                    {"loss", step.loss},
                    {"grad_norm", step.grad_norm},
                    {"lr", step.lr},
                    {"tokens", step.tokens},
                    {"samples", step.samples},
                    {"elapsed_ms", step.elapsed_ms},
                    {"tokens_per_second", step.tokens_per_second},
                    {"mfu", step.mfu ? ordered_json(*step.mfu) : ordered_json()},
                    {"applied", step.applied},
                    {"skipped", step.skipped},
                    {"clip_factor", step.clip_factor},
                    {"waiting_ms", step.waiting_ms}});
}

void MetricsFile::write(const EvaluationMetrics& evaluation) {
  write_line(out_, {{"step", evaluation.step},
                    {"run", run_},
                    {"validation_loss", evaluation.validation_loss},
                    {"validation_perplexity", evaluation.validation_perplexity()},
                    {"validation_tokens", evaluation.validation_tokens},
                    {"tokens", evaluation.tokens}});
}

}  // namespace headwater
