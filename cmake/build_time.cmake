# What makes a build shorter and nothing else different, for targets that are all there by now: headers that are read once, and
# no optimization where it costs more than it gains.

# Programs of tests spend their time in libraries, which are optimized.
get_property(programs DIRECTORY tests PROPERTY BUILDSYSTEM_TARGETS)
list(FILTER programs INCLUDE REGEX "^test_")
foreach(program ${programs})
  target_compile_options(${program} PRIVATE $<$<CONFIG:Release>:-O1>)
endforeach()

# Where a sanitizer builds without optimization, these compute: without it they would take minutes.
foreach(library headwater_backend headwater_reference)
  if(TARGET ${library})
    target_compile_options(${library} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
  endif()
endforeach()

# ccache keeps no object that was compiled with a precompiled header.
set(HEADWATER_PRECOMPILE AUTO CACHE STRING "Precompiled headers: ALL, TESTS, OFF or AUTO (OFF where there is ccache, else ALL)")
set(precompiled ${HEADWATER_PRECOMPILE})
if(precompiled STREQUAL "AUTO")
  set(precompiled ALL)
  if(HEADWATER_CCACHE)
    set(precompiled OFF)
  endif()
endif()

set(headers fmt/format.h nlohmann/json.hpp algorithm array cmath cstdint filesystem fstream functional map memory mutex optional
  set sstream string thread vector)
list(TRANSFORM headers REPLACE "(.+)" "<\\1>")

# One precompiled header for all `targets`: `carrier` holds it and nothing else.
function(headwater_precompile carrier library)
  file(WRITE ${CMAKE_BINARY_DIR}/${carrier}.cpp "")
  add_library(${carrier} OBJECT ${CMAKE_BINARY_DIR}/${carrier}.cpp)
  target_link_libraries(${carrier} PRIVATE headwater_options ${library})
  target_precompile_headers(${carrier} PRIVATE ${headers})
  foreach(target ${ARGN})
    target_precompile_headers(${target} REUSE_FROM ${carrier})
  endforeach()
endfunction()

get_property(rooms DIRECTORY PROPERTY BUILDSYSTEM_TARGETS)
list(FILTER rooms INCLUDE REGEX "^headwater_")
list(REMOVE_ITEM rooms headwater_options headwater_backend)  # the latter with options of its own
if(precompiled AND programs)
  find_package(GTest REQUIRED)
  list(PREPEND headers <gtest/gtest.h>)
  headwater_precompile(headwater_test_headers GTest::gtest ${programs})
  list(POP_FRONT headers)
endif()
if(precompiled STREQUAL "ALL")
  headwater_precompile(headwater_headers nlohmann_json::nlohmann_json ${rooms})
endif()
