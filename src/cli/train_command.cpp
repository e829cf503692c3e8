#include "headwater/base/signals.h"
#include "headwater/bench/step_check.h"
#include "headwater/config/load_config.h"
#include "headwater/train/trainer.h"

#include "commands.h"
#include "run_output.h"

#include <unistd.h>

#include <iostream>

namespace headwater {

void add_train(Command app, Session& session) {
  struct Options {
    std::string config;
    bool print_config = false;
  };
  auto options = std::make_shared<Options>();
  Command command =
      app.command("train", "Pretrain a model; goes on by itself where training.save holds a checkpoint");
  command.option("CONFIG", &options->config, "config file (JSON, // comments allowed)");
  command.flag("--print-config", &options->print_config, "print each value and where it came from, and stop");
  command.footer([] { return config_help(); });
  command.runs([&session, options] {
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
  });
}

void add_config_reference(Command app, Session& session) {
  Command command = app.command("config-reference", "Print docs/config-reference.md");
  command.hide();  // for maintainers: not in --help
  command.runs([&session] {
    if (session.out() != nullptr) *session.out() << config_reference();
    return 0;
  });
}

}  // namespace headwater
