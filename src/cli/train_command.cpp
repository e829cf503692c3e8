#include "headwater/base/signals.h"
#include "headwater/bench/step_check.h"
#include "headwater/config/load_config.h"
#include "headwater/train/trainer.h"

#include "commands.h"
#include "run_output.h"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <iostream>

namespace headwater {

void add_train(CLI::App& app, Session& session) {
  struct Options {
    std::string config;
    bool print_config = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "train", "Pretrain a model; goes on by itself where training.save holds a checkpoint");
  command->add_option("CONFIG", options->config, "config file (JSON, // comments allowed)");
  command->add_flag("--print-config", options->print_config,
                    "print each value and where it came from, and stop");
  command->footer([] { return config_help(); });
  command->callback([&session, options] {
    session.command = [&session, options] {
      const LoadedConfig config = load_config(options->config, session.overrides);
      if (options->print_config) {
        if (session.out() != nullptr) *session.out() << print_config(config);
        return 0;
      }
      signals::install();
      if (session.out() == nullptr) return Trainer(session.world, config, nullptr, make_step_check).run();
      RunOutput output(STDOUT_FILENO);
      const int code = Trainer(session.world, config, &output.stream(), make_step_check).run();
      output.close();
      return code;
    };
  });
}

void add_config_reference(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("config-reference", "Print docs/config-reference.md");
  command->group("");  // for maintainers: not in --help
  command->callback([&session] {
    session.command = [&session] {
      if (session.out() != nullptr) *session.out() << config_reference();
      return 0;
    };
  });
}

}  // namespace headwater
