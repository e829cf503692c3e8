#include "headwater/config/load_config.h"
#include "headwater/plan/simulate/simulator.h"
#include "headwater/schedule/checker.h"
#include "headwater/schedule/schedule_table.h"

#include "commands.h"

#include <nlohmann/json.hpp>

#include <iostream>

namespace headwater {
namespace {

struct ScheduleOptions {
  std::string schedule = "1f1b";
  int pipeline = 1, chunks = 0, micro_batches = 1;
  double forward = 1.0, input_gradient = 1.0, weight_gradient = 1.0, link = 0.0;
  bool json = false;
};

// Plays the schedule, where every chunk takes an equal share of its rank's seconds and every transfer takes
// `link` seconds.
Simulation play(const ScheduleOptions& o) {
  const int chunks = o.chunks > 0 ? o.chunks : schedule_kind(o.schedule).default_chunks;
  const LoweredSchedule lowered = lower(make_schedule(o.schedule, o.pipeline, chunks, o.micro_batches));
  const std::optional<std::string> fault = check(lowered).fault;
  HW_CHECK(!fault, "schedule {}: {}", o.schedule, *fault);
  PassSeconds stage;
  stage.forward.compute = o.forward / chunks;
  stage.input_gradient.compute = o.input_gradient / chunks;
  stage.weight_gradient.compute = o.weight_gradient / chunks;
  PipelineNetwork network;
  network.intra_node.latency_seconds = o.link;
  return simulate(lowered, std::vector<PassSeconds>(static_cast<std::size_t>(o.pipeline * chunks), stage),
                  network);
}

int schedule_command(const Session& session, const ScheduleOptions& options) {
  session.one_rank_only("schedule");
  const Simulation simulation = play(options);
  if (options.json) {
    std::cout << nlohmann::json{{"step_seconds", simulation.end},
                                {"bubble_fraction", simulation.bubble_fraction()}}
                     .dump()
              << std::endl;
    return 0;
  }
  std::cout << fmt::format(
      "{} on {} ranks, {} micro-batches: {:.6g} s, bubble = 1 - m(F + B + W)/T = {:.2f} %\n",
      options.schedule, options.pipeline, options.micro_batches, simulation.end,
      100.0 * simulation.bubble_fraction());
  return 0;
}

}  // namespace

void add_schedule(Command app, Session& session) {
  auto options = std::make_shared<ScheduleOptions>();
  Command command =
      app.command("schedule", "How long a pipeline schedule takes, of equal stages whose times are given");
  command.option("--schedule", &options->schedule, "as parallel.pipeline_schedule").shows_default();
  std::string schedules = "Schedules:\n";
  for (const ScheduleKind& kind : schedule_kinds())
    schedules += fmt::format("  {:<12} {}\n", kind.name, kind.description);
  command.footer([schedules] { return schedules; });
  command.option("--pipeline", &options->pipeline, "ranks").required().between(1, 1024);
  command.option("--chunks", &options->chunks, "of each rank; by the schedule unless said").between(1, 64);
  command.option("--micro-batches", &options->micro_batches, "of a step").required().between(1, 4096);
  const auto seconds = [&](const char* name, double& value, const char* help) {
    command.option(name, &value, help).between(0.0, 1e6).shows_default();
  };
  seconds("--forward", options->forward, "seconds of a rank for a micro-batch, all its chunks");
  seconds("--input-gradient", options->input_gradient, "likewise");
  seconds("--weight-gradient", options->weight_gradient, "likewise");
  seconds("--link", options->link, "seconds of a transfer between two ranks");
  command.flag("--json", &options->json, "print one JSON object");
  command.runs([&session, options] { return schedule_command(session, *options); });
}

}  // namespace headwater
