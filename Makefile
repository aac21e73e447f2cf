# Everything goes through CMake presets; this file only names what people want. All output is below build/.
# the prerequisites below are steps, in their order
.NOTPARALLEL:
.PHONY: all help program packages python broker browser demo demo-kafka test test-all bench bench-kafka asan fuzz install clean

JOBS := $(shell nproc 2>/dev/null || echo 2)
export CTEST_PARALLEL_LEVEL ?= $(JOBS)
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)

all: program
	@echo "build/coldstream is ready; try: build/coldstream --help"

help:
	@echo "make          the program, at build/coldstream"
	@echo "make demo     a synthetic marketplace, replayed: what the stage does, in a minute"
	@echo "make demo-kafka   the same on a real Kafka broker, which it fetches: new listings, their SIDs, and how long they took"
	@echo "make test     all tests but the slow ones, then the unit tests under the sanitizers"
	@echo "make test-all the slow tests too: 200 crash points, broker outages, delayed commits"
	@echo "make bench    the benchmarks"
	@echo "make bench-kafka   those of run on a real broker, some five minutes"
	@echo "make asan     all tests but the slow ones under AddressSanitizer and UBSan"
	@echo "make fuzz     the fuzz targets with libFuzzer (needs clang)"
	@echo "make install  program, libcoldstream, header, pkg-config file, man pages; honours DESTDIR and prefix (/usr/local)"
	@echo "make clean    removes build/"
	@echo "Packages of the distribution that are missing are installed first, by scripts/install-packages.sh."

packages:
	@scripts/install-packages.sh

# numpy, fastavro, FAISS and confluent-kafka for the tests that ask an independent judge; without a network those are skipped
python: packages
	@scripts/python-env.sh

# Java and Maven for the broker of the tests, kcat to judge, Prometheus to scrape and to check the alerts
broker: packages
	@scripts/install-packages.sh kafkacat prometheus $$(command -v java > /dev/null && command -v mvn > /dev/null || echo maven openjdk-17-jre-headless)

# Chromium and its driver, for the tests that open pages
browser: packages
	@scripts/install-packages.sh $$(command -v chromium > /dev/null && command -v chromedriver > /dev/null || echo chromium chromium-driver)

program: packages
	@scripts/build.sh release
	@ln -sfn release/coldstream build/coldstream

demo: program
	@scripts/demo.sh

# RATE: records a second; EVENTS: how many
demo-kafka: program
	@scripts/demo-kafka.sh $(RATE) $(EVENTS)

# a test on the broker gets a second try: on a busy machine a broker's own timeouts are over before it has done its work
test: python broker browser program
	ctest --preset release --label-exclude 'slow|broker'
	ctest --preset release --label-regex broker --label-exclude slow --repeat until-pass:2
	@scripts/build.sh asan
	ctest --preset asan --label-regex unit --label-exclude slow

test-all: python broker browser program
	ctest --preset release
	@scripts/build.sh asan
	ctest --preset asan --label-regex unit

bench: python program
	@scripts/bench.sh

bench-kafka: python broker program
	@bench/kafka.sh

asan: packages python
	@scripts/build.sh asan
	ctest --preset asan --label-exclude slow

fuzz:
	@scripts/install-packages.sh clang-14 libclang-rt-14-dev
	@scripts/build.sh fuzz $(notdir $(basename $(wildcard tests/fuzz/fuzz_*.c)))
	ctest --preset fuzz --label-regex fuzz

# what is there is installed, so that after make this also works as root without building as root
prefix ?= /usr/local
install:
	@[ -x build/release/coldstream ] || { echo "run make first" >&2; exit 1; }
	@cmake --install build/release --prefix "$(prefix)"

clean:
	rm -rf build
