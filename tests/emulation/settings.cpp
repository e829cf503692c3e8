#include "emulation/settings.h"

#include <cstdlib>
#include <iostream>
#include <mutex>

#include "fault.h"

namespace emulation {
namespace {

[[noreturn]] void refuse(const std::string& entry) {
  std::cerr << "HEADWATER_EMULATION: " << entry
            << " is unknown; there are copies, streams = late, early, random; order = fixed, random; check, "
               "profiler = on, off; seed, devices, memory, cublaslt, threads = N\n";
  std::exit(2);
}

Settings::Time time_of(const std::string& entry, const std::string& value) {
  if (value == "late") return Settings::Time::late;
  if (value == "early") return Settings::Time::early;
  if (value == "random") return Settings::Time::random;
  refuse(entry);
}

Settings from_environment() {
  Settings settings;
  const char* const text = std::getenv("HEADWATER_EMULATION");
  std::string rest = text == nullptr ? "" : text;
  while (!rest.empty()) {
    const std::string entry = rest.substr(0, rest.find(','));
    rest.erase(0, entry.size() + 1);
    const std::string key = entry.substr(0, entry.find('=')),
                      value = entry.substr(std::min(entry.size(), key.size() + 1));
    const bool number = !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
    if (key == "copies") {
      settings.copies = time_of(entry, value);
    } else if (key == "streams") {
      settings.streams = time_of(entry, value);
    } else if (key == "order" && (value == "fixed" || value == "random")) {
      settings.shuffled = value == "random";
    } else if (key == "check" && (value == "on" || value == "off")) {
      settings.check = value == "on";
    } else if (key == "profiler" && (value == "on" || value == "off")) {
      settings.profiler = value == "on";
    } else if (key == "seed" && number) {
      settings.seed = std::stoull(value);
    } else if (key == "devices" && number) {
      settings.devices = std::stoi(value);
    } else if (key == "memory" && number) {
      settings.memory = std::stoull(value);
    } else if (key == "cublaslt" && number) {
      settings.cublaslt = std::stoull(value);
    } else if (key == "threads" && number && std::stoi(value) > 0) {
      settings.threads = std::stoi(value);
    } else {
      refuse(entry);
    }
  }
  return settings;
}

std::mutex fault_mutex;
std::string faults;

}  // namespace

Settings& settings() {
  static Settings settings = from_environment();
  return settings;
}

void report_fault(const std::string& text) {
  const std::lock_guard lock(fault_mutex);
  std::cerr << "emulation: " << text << "\n";
  faults += text + "\n";
}

bool faulty() {
  const std::lock_guard lock(fault_mutex);
  return !faults.empty();
}

std::string take_fault() {
  const std::lock_guard lock(fault_mutex);
  std::string taken;
  taken.swap(faults);
  return taken;
}

}  // namespace emulation
