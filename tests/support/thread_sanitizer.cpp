// What the thread sanitizer is told not to report, in each program that it is built into.

extern "C" const char* __tsan_default_suppressions();

// oneDNN is not instrumented: of its cache of primitives the sanitizer sees memory taken and compared, and
// not the futures by which one thread hands them to another.
extern "C" const char* __tsan_default_suppressions() { return "called_from_lib:libdnnl.so\n"; }
