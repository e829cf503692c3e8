// A program for tests/parallel/comm_test.py, which runs it under mpirun. It makes the checks that thread
// worlds pass too, or lets ranks stop, die, fail or not come. It fails in the way that `headwater` does.

#include "tests/comm/op_checks.h"

#include "headwater/base/clock.h"
#include "headwater/base/log.h"
#include "headwater/base/signals.h"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <ctime>
#include <thread>

namespace headwater {
namespace {

using test::view;

void sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

void reduce(Communicator& group) {
  std::vector<float> data(1000, 1.0F);
  group.all_reduce(view(data), ReduceOp::sum).wait();
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Measures latency, speed, and the processor time that waiting takes.
void measure(World& world, Communicator& group) {
  const auto report = [&world](std::string_view what, double seconds, double cpu, int rounds) {
    if (world.rank() == 0)
      fmt::print("{:<32} {:10.1f} us  processor {:10.1f} us\n", what, 1e6 * seconds / rounds,
                 1e6 * cpu / rounds);
  };
  const auto timed = [&](std::string_view what, int rounds, auto&& body) {
    barrier(group);
    const double start = now_seconds(), cpu = cpu_seconds();
    for (int i = 0; i < rounds; ++i) body();
    report(what, now_seconds() - start, cpu_seconds() - cpu, rounds);
  };
  for (const std::size_t count : {std::size_t{1}, std::size_t{262'144}, std::size_t{4'194'304}}) {
    std::vector<float> data(count);
    const int rounds = count > 1'000'000 ? 10 : 500;
    if (world.rank() < 2)
      timed(fmt::format("ping-pong of {} bytes", 4 * count), rounds, [&] {
        for (const int sender : {0, 1})
          (world.rank() == sender ? group.send(view(data), 1 - sender) : group.receive(view(data), sender))
              .wait();
      });
    else
      barrier(group);
    timed(fmt::format("all_reduce of {} bytes", 4 * count), rounds,
          [&] { group.all_reduce(view(data), ReduceOp::sum).wait(); });
  }
  timed("one second without work", 1, [] { sleep(1.0); });
  timed("one second of waiting", 1, [&] {
    if (world.rank() == 0) sleep(1.0);
    barrier(group);
  });
}

void run(World& world, const std::string& mode, int who) {
  const bool me = world.rank() == who;
  world.set_timeout(3.0);
  const auto group = world.group("data", world.all_ranks());
  for (int i = 0; i < 3; ++i) reduce(*group);
  if (mode == "check") {
    test::check_world(world);
    if (world.rank() == 0) fmt::print("{} ranks checked\n", world.size());
  } else if (mode == "measure") {
    world.set_timeout(60.0);
    measure(world, *group);
  } else if (mode == "stop") {  // like a host that hangs
    if (me) std::raise(SIGSTOP);
    reduce(*group);
  } else if (mode == "kill") {
    if (me) std::raise(SIGKILL);
    reduce(*group);
  } else if (mode == "late") {  // its communication thread answers, but it does not come
    if (me) sleep(30.0);
    reduce(*group);
  } else if (mode == "chain") {  // each waits for the next; the last has stopped
    if (me) std::raise(SIGSTOP);
    std::vector<float> data(10);
    group->receive(view(data), world.rank() + 1).wait();
  } else if (mode == "fail") {  // rank 0 computes and others wait
    if (me) throw UserError("the answer is 41; it should be 42");
    if (world.rank() == 0) sleep(30.0);
    reduce(*group);
  } else if (mode == "all-fail") {
    throw UserError("data.train: no such dataset");
  } else if (mode == "mute") {  // rank 0 cannot speak
    if (world.rank() == 0) std::raise(SIGSTOP);
    if (me) throw SystemError("the disk is full");
    reduce(*group);
  } else if (mode == "signal") {  // as if the launcher ended the job after a death, with no deadline near
    world.set_timeout(60.0);
    signals::install();
    if (me) std::raise(SIGSTOP);
    std::raise(SIGTERM);
    reduce(*group);
  } else if (mode == "alive") {
    if (me) std::raise(SIGSTOP);
    sleep(0.3);
    if (world.peers_alive(1.0)) throw InternalError("a stopped rank answered");
    throw CommError("rank {} does not answer", who);
  } else {
    throw UserError("no such mode: {}", mode);
  }
  world.finish();
}

}  // namespace
}  // namespace headwater

int main(int argc, char** argv) {
  using namespace headwater;
  std::unique_ptr<World> world = make_self_world();  // speaks where no other can be made
  try {
    world = make_world();
    log::set_rank(world->rank(), world->size());
    run(*world, argc > 1 ? argv[1] : "check", argc > 2 ? std::stoi(argv[2]) : -1);
    return 0;
  } catch (const Error& error) {
    world->fail(error.what(), error.exit_code());
  } catch (const std::exception& error) {
    world->fail(error.what(), 1);
  }
}
