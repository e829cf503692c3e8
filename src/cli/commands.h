#pragma once
// The subcommands. Each add_… adds one command with its options to the command above it; `session` must live
// until the command has run. Only this room prints for people and turns exceptions into exit codes.

#include "headwater/comm/world.h"

#include "command.h"

#include <iosfwd>
#include <string>
#include <vector>

namespace headwater {

struct Session {
  World& world;
  std::vector<std::string> overrides;  // every --section.key=value of the command line

  std::ostream* out() const;  // standard output on rank 0, null elsewhere
  void one_rank_only(const char* command_name) const;
};

void add_train(Command app, Session& session);
void add_eval(Command app, Session& session);
void add_generate(Command app, Session& session);
void add_probes(Command app, Session& session);  // logits, gradients
void add_data(Command app, Session& session);
void add_checkpoint(Command app, Session& session);
void add_bench(Command app, Session& session);
void add_bench_ops(Command bench, Session& session);
void add_bench_scaling(Command bench, Session& session);
void add_bench_matmul(Command bench, Session& session);
void add_plan(Command app, Session& session);
void add_schedule(Command app, Session& session);
void add_config_reference(Command app, Session& session);

// Parses the arguments, runs the command, and returns the exit code. Errors are thrown.
int run_command_line(World& world, std::vector<std::string> arguments);

}  // namespace headwater
