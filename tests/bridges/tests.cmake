# The tests of bridges.  It is included by the file in the folder above, so that
# paths are relative to that.

# bridges/test_X.c: the bridges of ../examples/bridges, on the real system.
# tests/run --bridges builds the target bridges_tests and runs the tests with
# the label bridges.  These are not among the system tests.

# A test of bridges, on the real system, with the examples' files and a library.
function(add_bridge_test name source library)
    add_aloop_test(bridges_${name} ${source} whole_os)
    foreach(path IN LISTS ARGN)
        target_sources(bridges_${name} PRIVATE
            ${PROJECT_SOURCE_DIR}/examples/${path})
    endforeach()
    target_include_directories(bridges_${name} PRIVATE
        ${PROJECT_SOURCE_DIR}/examples)
    target_link_libraries(bridges_${name} PRIVATE PkgConfig::${library})
endfunction()

# The same beside a server: a script of programs/ runs it.
function(add_bridge_test_beside server name source library)
    add_executable(bridges_${name} ${source})
    target_compile_options(bridges_${name} PRIVATE ${test_options})
    foreach(path IN LISTS ARGN)
        target_sources(bridges_${name} PRIVATE
            ${PROJECT_SOURCE_DIR}/examples/${path})
    endforeach()
    target_include_directories(bridges_${name} PRIVATE
        ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/examples)
    target_link_libraries(bridges_${name} PRIVATE aloop_build whole_os
        PkgConfig::CMOCKA PkgConfig::${library})
    aloop_is_plain_c11(bridges_${name})
    add_test(NAME bridges_${name} COMMAND
        bash ${CMAKE_CURRENT_SOURCE_DIR}/programs/${server}.sh
        ${ALOOP_TEST_RUNNER} $<TARGET_FILE:bridges_${name}>)
    uses_real_system(bridges_${name} bridges_${name})
    set_tests_properties(bridges_${name} PROPERTIES RESOURCE_LOCK port)
endfunction()

# Lets calls of such a test fail on request.
function(refuse_calls_of test)
    if(ALOOP_HAVE_WRAP) # The memory of the bridge can run out.
        foreach(symbol IN ITEMS calloc aloop_operation_new aloop_poll_set_events
                aloop_poll_start aloop_timer_new aloop_timer_restart)
            target_link_options(${test} PRIVATE LINKER:--wrap=${symbol})
        endforeach()
        target_compile_definitions(${test} PRIVATE WITH_WRAP)
    endif()
endfunction()

pkg_check_modules(LIBCARES QUIET IMPORTED_TARGET libcares>=1.16)
if(LIBCARES_FOUND)
    add_bridge_test_beside(dnsmasq cares bridges/test_cares.c LIBCARES
        bridges/cares.c bridges/cares_channel.c)
    refuse_calls_of(bridges_cares)
    if(NOT ALOOP_TEST_RUNNER MATCHES "valgrind")
        add_example_test(cares_resolve cares_resolve)
        set_tests_properties(example_cares_resolve
            PROPERTIES RESOURCE_LOCK port)
    endif()
else()
    message(STATUS "The tests of the bridge cares are skipped: no c-ares 1.16")
endif()

pkg_check_modules(LIBCURL QUIET IMPORTED_TARGET libcurl>=7.62)
if(LIBCURL_FOUND)
    foreach(source IN ITEMS bridges/test_curl_client.c
            bridges/test_curl_faults.c)
        string(REGEX REPLACE ".*/test_(.*)\\.c" "\\1" name ${source})
        add_bridge_test_beside(nginx ${name} ${source} LIBCURL
            bridges/curl_client.c bridges/curl_loop.c)
    endforeach()
    refuse_calls_of(bridges_curl_faults)
    if(NOT ALOOP_TEST_RUNNER MATCHES "valgrind")
        add_example_test(curl_fetch curl_fetch)
        set_tests_properties(example_curl_fetch PROPERTIES RESOURCE_LOCK port)
    endif()
else()
    message(STATUS "The tests of the bridge curl are skipped: no libcurl 7.62")
endif()

pkg_check_modules(LIBSSL QUIET IMPORTED_TARGET libssl>=3.0 libcrypto)
if(LIBSSL_FOUND)
    add_bridge_test(tls bridges/test_tls.c LIBSSL bridges/tls.c
        bridges/tls_bio.c)
    add_bridge_test(tls_verify bridges/test_tls_verify.c LIBSSL bridges/tls.c
        bridges/tls_alpn.c bridges/tls_bio.c)
    file(GLOB https_sources CONFIGURE_DEPENDS
        RELATIVE ${PROJECT_SOURCE_DIR}/examples
        ${PROJECT_SOURCE_DIR}/examples/support/http_*.c)
    add_bridge_test(https bridges/test_https.c LIBSSL ${https_sources}
        support/url.c bridges/https.c bridges/tls.c bridges/tls_alpn.c
        bridges/tls_bio.c bridges/tls_sessions.c)
    # valgrind takes seconds to start a program with OpenSSL.
    if(NOT ALOOP_TEST_RUNNER MATCHES "valgrind")
        foreach(name tls_client tls_server)
            add_example_test(${name} ${name} tls_client tls_server)
        endforeach()
    endif()
    add_example_test(https scrape)
    set_tests_properties(example_https PROPERTIES RESOURCE_LOCK port)
    # The tests of streams through TLS.  A checker that is slow would find
    # nothing here that it does not find in the test above.
    set(tls_tests ${filtered_tests})
    list(REMOVE_ITEM tls_tests stream_sender)
    if(ALOOP_TEST_RUNNER)
        set(tls_tests)
    endif()
    foreach(name IN LISTS tls_tests)
        add_aloop_test(test_${name}_tls unit/stream/test_${name}.c whole_sim)
        target_sources(test_${name}_tls PRIVATE
            ${PROJECT_SOURCE_DIR}/examples/bridges/tls.c
            ${PROJECT_SOURCE_DIR}/examples/bridges/tls_bio.c)
        target_include_directories(test_${name}_tls PRIVATE
            ${PROJECT_SOURCE_DIR}/examples)
        target_compile_definitions(test_${name}_tls PRIVATE
            FILTER_STEP=0 FILTER_TLS)
        target_link_libraries(test_${name}_tls PRIVATE PkgConfig::LIBSSL)
        set_property(TEST test_${name}_tls PROPERTY LABELS bridges)
        add_dependencies(bridges_tests test_${name}_tls)
    endforeach()
else()
    message(STATUS "The tests of the bridge tls are skipped: no libssl 3.0")
endif()

pkg_check_modules(JANSSON QUIET IMPORTED_TARGET jansson>=2.11)
if(JANSSON_FOUND)
    add_bridge_test(json_doc bridges/test_json_doc.c JANSSON
        bridges/json_doc.c)
else()
    message(STATUS
        "The tests of the bridge json_doc are skipped: no jansson 2.11")
endif()

pkg_check_modules(LIBNGHTTP2 QUIET IMPORTED_TARGET libnghttp2>=1.50)
if(LIBNGHTTP2_FOUND)
    foreach(source IN ITEMS bridges/test_http2.c bridges/test_http2_faults.c)
        string(REGEX REPLACE ".*/test_(.*)\\.c" "\\1" name ${source})
        add_bridge_test(${name} ${source} LIBNGHTTP2
            bridges/http2.c bridges/http2_answer.c bridges/http2_request.c
            bridges/http2_session.c bridges/http2_submit.c)
    endforeach()
    target_link_options(bridges_http2_faults PRIVATE
        -Wl,--wrap=calloc,--wrap=realloc
        -Wl,--wrap=nghttp2_session_client_new2)
    # valgrind takes seconds to start a program with OpenSSL.
    if(LIBSSL_FOUND
            AND NOT ALOOP_TEST_RUNNER MATCHES "valgrind")
        add_example_test(http2_get http2_get)
        set_tests_properties(example_http2_get PROPERTIES RESOURCE_LOCK port)
    endif()
else()
    message(STATUS "The tests of the bridge http2 are skipped: no libnghttp2")
endif()

pkg_check_modules(LIBPQ QUIET IMPORTED_TARGET libpq>=12)
if(LIBPQ_FOUND)
    foreach(source IN ITEMS bridges/test_pg.c bridges/test_pg_hostile.c
            bridges/test_pg_pool.c bridges/test_pg_statement.c)
        string(REGEX REPLACE ".*/test_(.*)\\.c" "\\1" name ${source})
        add_bridge_test_beside(postgres ${name} ${source} LIBPQ
            bridges/pg.c bridges/pg_cancel.c bridges/pg_pool.c
            bridges/pg_run.c bridges/pg_statement.c)
    endforeach()
    # valgrind would print more errors than are expected.
    if(NOT ALOOP_TEST_RUNNER MATCHES "valgrind")
        add_example_test(pg_users pg_users)
        set_tests_properties(example_pg_users PROPERTIES RESOURCE_LOCK port)
    endif()
else()
    message(STATUS "The tests of the bridge pg are skipped: no libpq 12")
endif()

# A browser, which talks to websocket_echo.
if(NOT ALOOP_TEST_RUNNER)
    add_example_test(websocket_browser websocket_echo http_server)
endif()

pkg_check_modules(HIREDIS QUIET IMPORTED_TARGET hiredis>=0.14)
if(HIREDIS_FOUND)
    find_library(HIREDIS_STATIC libhiredis.a)
    foreach(source IN ITEMS bridges/test_redis.c bridges/test_redis_hostile.c
            bridges/test_redis_memory.c bridges/test_redis_subscribe.c)
        string(REGEX REPLACE ".*/test_(.*)\\.c" "\\1" name ${source})
        add_bridge_test_beside(redis ${name} ${source} HIREDIS
            bridges/redis.c bridges/redis_command.c bridges/redis_connect.c
            bridges/redis_subscribe.c)
    endforeach()
    if(HIREDIS_STATIC) # Otherwise its calls would not be redirected.
        target_link_libraries(bridges_redis_memory PRIVATE ${HIREDIS_STATIC})
    endif()
    foreach(call IN ITEMS malloc calloc realloc aloop_then)
        target_link_options(bridges_redis_memory PRIVATE LINKER:--wrap=${call})
    endforeach()
    add_bridge_test(redis_queue bridges/test_redis_queue.c HIREDIS
        bridges/redis.c bridges/redis_command.c bridges/redis_connect.c
        bridges/redis_hold.c bridges/redis_job.c bridges/redis_queue.c
        bridges/redis_take.c
        bridges/redis_worker.c)
    add_bridge_test_beside(redis redis_worker bridges/test_redis_worker.c HIREDIS
        bridges/redis.c bridges/redis_command.c bridges/redis_connect.c
        bridges/redis_hold.c bridges/redis_job.c bridges/redis_queue.c
        bridges/redis_take.c
        bridges/redis_worker.c)
    if(HIREDIS_STATIC)
        target_link_libraries(bridges_redis_worker PRIVATE ${HIREDIS_STATIC})
    endif()
    foreach(call IN ITEMS malloc calloc realloc aloop_semaphore_acquire)
        target_link_options(bridges_redis_worker PRIVATE LINKER:--wrap=${call})
    endforeach()
    # Workers that valgrind runs would be too slow to be killed in time.
    if(NOT ALOOP_TEST_RUNNER MATCHES "valgrind")
        add_example_test(redis_workers redis_workers)
        set_tests_properties(example_redis_workers PROPERTIES
            RESOURCE_LOCK port)
    endif()
else()
    message(STATUS "The tests of the bridge redis are skipped: no hiredis 0.14")
endif()

if(LIBSSL_FOUND AND JANSSON_FOUND
        AND NOT ALOOP_TEST_RUNNER MATCHES "valgrind")
    add_example_test(two_apis two_apis)
endif()

# Other loops: a loop inside them, and some inside a loop.
function(add_loop_test name source library) # FILE...
    add_bridge_test(${name} ${source} ${library} ${ARGN})
    foreach(symbol IN ITEMS malloc calloc realloc)
        target_link_options(bridges_${name} PRIVATE LINKER:--wrap=${symbol})
    endforeach()
endfunction()

pkg_check_modules(LIBEVENT QUIET IMPORTED_TARGET libevent_core>=2.0)
if(LIBEVENT_FOUND AND ALOOP_HAVE_WRAP)
    add_loop_test(event bridges/test_event.c LIBEVENT bridges/event_host.c)
else()
    message(STATUS "The tests of the bridge event are skipped: no libevent 2.0")
endif()

pkg_check_modules(GLIB QUIET IMPORTED_TARGET glib-2.0>=2.58 gio-2.0)
if(GLIB_FOUND AND ALOOP_HAVE_WRAP)
    add_loop_test(glib bridges/test_glib.c GLIB
        bridges/glib_host.c bridges/glib_inside.c)
    # TSan and valgrind do not know the locks and lists of GLib's threads.
    if(NOT ALOOP_TEST_RUNNER MATCHES "valgrind"
            AND NOT ALOOP_SANITIZE MATCHES "thread")
        add_example_test(glib_watch glib_watch)
    endif()
else()
    message(STATUS "The tests of the bridge glib are skipped: no GLib 2.58")
endif()

pkg_check_modules(LIBUV QUIET IMPORTED_TARGET libuv>=1.27)
if(LIBUV_FOUND AND ALOOP_HAVE_WRAP)
    add_loop_test(uv bridges/test_uv.c LIBUV
        bridges/uv_host.c bridges/uv_inside.c)
else()
    message(STATUS "The tests of the bridge uv are skipped: no libuv 1.27")
endif()

# Tests of modules, in servers that are built without a sanitizer.  They load
# its runtime first.
set(module_runner ${ALOOP_TEST_RUNNER})
set(has_module_tests ON)
if(ALOOP_SANITIZE MATCHES "address")
    set(runtime libasan.so)
    if(CMAKE_C_COMPILER_ID MATCHES "Clang")
        set(runtime libclang_rt.asan-${CMAKE_SYSTEM_PROCESSOR}.so)
    endif()
    # The compiler may have several words, such as "ccache clang".
    separate_arguments(words UNIX_COMMAND "${CMAKE_C_COMPILER_ARG1}")
    execute_process(OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE runtime
        COMMAND ${CMAKE_C_COMPILER} ${words} -print-file-name=${runtime})
    set(module_runner env LD_PRELOAD=${runtime})
elseif(ALOOP_TEST_RUNNER MATCHES "valgrind")
    # A process that a server has forked frees less than everything.
    list(APPEND module_runner --leak-check=no)
elseif(ALOOP_SANITIZE)
    set(has_module_tests OFF)
    message(STATUS "The tests of modules are skipped: another sanitizer")
endif()
function(add_module_test target file)
    add_test(NAME example_${target} COMMAND
        bash ${CMAKE_CURRENT_SOURCE_DIR}/programs/check.sh
        example_${target} ${module_runner} ${file})
    uses_real_system(example_${target} ${target})
    set_tests_properties(example_${target} PROPERTIES RESOURCE_LOCK port)
endfunction()

# The same servers, in whose modules allocations fail.  The library comes before
# that of ASan, which has to be told that this is right.  It would take what the
# server's threads have for leaks then.
set(has_refused_tests OFF)
if(has_module_tests AND NOT ALOOP_TEST_RUNNER AND NOT APPLE AND
        NOT CMAKE_CROSSCOMPILING)
    set(has_refused_tests ON)
    set(refusing $<TARGET_FILE:refuse_in_module>)
    if(ALOOP_SANITIZE)
        set(refusing ${refusing}:${runtime}
            ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0)
    endif()
    add_library(refuse_in_module MODULE bridges/refuse_in_module.c)
    target_link_libraries(refuse_in_module PRIVATE
        aloop_build ${CMAKE_DL_LIBS})
    if(ALOOP_SANITIZE) # It is called before the runtime is ready.
        set_source_files_properties(bridges/refuse_in_module.c PROPERTIES
            COMPILE_OPTIONS -fno-sanitize=all)
    endif()
    set_target_properties(refuse_in_module PROPERTIES PREFIX "" SUFFIX .so)
endif()
function(add_refused_test target file)
    add_test(NAME example_${target}_memory COMMAND
        bash ${CMAKE_CURRENT_SOURCE_DIR}/programs/check.sh
        example_${target}_memory
        env LD_PRELOAD=${refusing} ${file})
    uses_real_system(example_${target}_memory ${target} refuse_in_module)
    set_tests_properties(example_${target}_memory
        PROPERTIES RESOURCE_LOCK port)
endfunction()

find_program(REDIS_SERVER redis-server)
if(NOT REDIS_SERVER OR CMAKE_CROSSCOMPILING) # It would be this machine's.
    message(STATUS "The tests of redis_module are skipped: no redis-server")
elseif(has_module_tests)
    add_module_test(redis_module $<TARGET_FILE:redis_module>)
    if(has_refused_tests)
        add_refused_test(redis_module $<TARGET_FILE:redis_module>)
    endif()
endif()

if(NOT EXISTS /usr/share/nginx/src/conf_flags OR CMAKE_CROSSCOMPILING)
    message(STATUS "The tests of the module of nginx are skipped: no nginx-dev")
elseif(has_module_tests)
    set(file examples/bridges/nginx/objs/ngx_http_aloop_module.so)
    add_module_test(nginx_module ${PROJECT_BINARY_DIR}/${file})
    if(has_refused_tests)
        add_refused_test(nginx_module ${PROJECT_BINARY_DIR}/${file})
    endif()
endif()
