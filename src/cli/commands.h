#pragma once
// The subcommands. Each add_… gives `app` one command with its options; parsing that command sets
// session.command to the function that runs it. Only this room prints for people and turns exceptions into
// exit codes.

#include "headwater/comm/world.h"

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace headwater {

struct Session {
  World& world;
  std::vector<std::string> overrides;  // every --section.key=value of the command line
  std::function<int()> command;        // gives the exit code

  std::ostream* out() const;  // standard output on rank 0, null elsewhere
  void one_rank_only(const char* command_name) const;
};

void add_train(CLI::App& app, Session& session);
void add_eval(CLI::App& app, Session& session);
void add_generate(CLI::App& app, Session& session);
void add_probes(CLI::App& app, Session& session);  // logits, gradients
void add_data(CLI::App& app, Session& session);
void add_checkpoint(CLI::App& app, Session& session);
void add_bench(CLI::App& app, Session& session);
void add_bench_ops(CLI::App& bench, Session& session);
void add_bench_scaling(CLI::App& bench, Session& session);
void add_bench_matmul(CLI::App& bench, Session& session);
void add_plan(CLI::App& app, Session& session);
void add_schedule(CLI::App& app, Session& session);
void add_config_reference(CLI::App& app, Session& session);

// Parses the arguments, runs the command, and returns the exit code. Errors are thrown.
int run_command_line(World& world, std::vector<std::string> arguments);

}  // namespace headwater
