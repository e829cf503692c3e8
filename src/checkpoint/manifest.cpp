#include "headwater/checkpoint/manifest.h"

#include "headwater/base/error.h"
#include "headwater/config/json_text.h"
#include "headwater/config/load_config.h"
#include "json_reading.h"
#include "manifest_json.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace headwater {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "headwater-checkpoint";

constexpr std::pair<const char*, std::int64_t Counters::*> kCounters[] = {
    {"step", &Counters::step},       {"samples", &Counters::samples},
    {"tokens", &Counters::tokens},   {"updates", &Counters::updates},
    {"skipped", &Counters::skipped}, {"bad_in_a_row", &Counters::bad_in_a_row},
    {"run", &Counters::run},         {"evaluation_due", &Counters::evaluation_due}};

}  // namespace

std::string manifest_text(const Manifest& manifest) {
  const SaveHeader& header = manifest.header;
  RunConfig ran;
  ran.parallel = header.parallel;
  json out = contents_json(manifest);
  out["format"] = kFormat;
  out["version"] = kCheckpointVersion;
  out["config"] = to_json(header.config);
  out["model"] = to_json(header.model);
  out["parallel"] = to_json(ran).at("parallel");
  out["data_parallel_size"] = header.data_parallel_size;
  out["dtype"] = header.dtype;
  out["threads"] = header.threads;
  if (header.cublaslt != 0) out["cublaslt"] = header.cublaslt;
  for (const auto& [name, counter] : kCounters) out["counters"][name] = header.counters.*counter;
  return out.dump(1) + "\n";
}

Manifest parse_manifest(const std::string& contents, const std::string& file_name) {
  const json in = parse_json_text(contents, file_name);
  const auto part = [&](const char* key) -> const json& { return member(in, key, file_name); };
  const auto where = [&](const char* key) { return fmt::format("{} in {}", key, file_name); };

  if (text(part("format"), where("format")) != kFormat)
    throw UserError("{} is {}; it must be \"{}\"", where("format"), part("format").dump(), kFormat);
  const std::int64_t version = whole_number(part("version"), where("version"));
  if (version != kCheckpointVersion)
    throw UserError("{} is {}; this version of headwater reads {}", where("version"), version,
                    kCheckpointVersion);

  Manifest manifest;
  SaveHeader& header = manifest.header;
  header.config = parse_config(part("config"), file_name, {}).run;
  header.model = model_from_json(part("model"), file_name);
  header.parallel = parse_config({{"parallel", part("parallel")}}, file_name, {}).run.parallel;
  header.data_parallel_size = whole_number(part("data_parallel_size"), where("data_parallel_size"));
  header.dtype = text(part("dtype"), where("dtype"));
  header.threads = whole_number(part("threads"), where("threads"));
  if (in.contains("cublaslt")) header.cublaslt = whole_number(part("cublaslt"), where("cublaslt"));
  for (const auto& [name, counter] : kCounters)
    header.counters.*counter = whole_number(member(part("counters"), name, where("counters")), where(name));
  add_contents(in, file_name, manifest);
  if (const auto problem = inconsistency(manifest)) throw UserError("{}: {}", file_name, *problem);
  return manifest;
}

}  // namespace headwater
