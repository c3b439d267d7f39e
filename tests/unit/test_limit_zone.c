/* SPDX-License-Identifier: ISC */
/* Zone files made by hand, and those of the system held against the C library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/tzdata.h"
#include "limit/zone.h"

/* --- rules -------------------------------------------------------------------- */

static struct zone_span
rule_at(const char *text, int64_t t_s)
{
	struct zone_rule rule;
	struct zone_span span;

	assert_int_equal(zone_rule_parse(slice_str(text), &rule), 0);
	zone_rule_at(&rule, t_s, &span);
	return span;
}

static void
assert_span(struct zone_span s, int64_t from_s, int64_t until_s, int32_t offset_s)
{
	assert_true(s.from_s == from_s);
	assert_true(s.until_s == until_s);
	assert_int_equal(s.offset_s, offset_s);
}

static void
test_rules(void **state)
{
	static const char berlin[] = "CET-1CEST,M3.5.0,M10.5.0/3";
	static const char sydney[] = "AEST-10AEDT,M10.1.0,M4.1.0/3";

	(void)state;
	assert_span(rule_at("IST-5:30", 0), INT64_MIN, INT64_MAX, 19800);
	assert_span(rule_at("<-03>3", 0), INT64_MIN, INT64_MAX, -10800);
	assert_span(rule_at("<+0530>-5:30:15", 0), INT64_MIN, INT64_MAX, 19815);
	/* 2026-03-29T01:00Z and 2026-10-25T01:00Z */
	assert_span(rule_at(berlin, 1774745999), 1761440400, 1774746000, 3600);
	assert_span(rule_at(berlin, 1774746000), 1774746000, 1792890000, 7200);
	assert_span(rule_at(berlin, 1792890000), 1792890000, 1806195600, 3600);
	/* The south: 2026-04-04T16:00Z and 2026-10-03T16:00Z */
	assert_span(rule_at(sydney, 1775318400), 1775318400, 1791043200, 36000);
	assert_span(rule_at(sydney, 1775318399), 1759593600, 1775318400, 39600);
	/* Lord Howe's half an hour; Dublin's winter that is the exception */
	assert_int_equal(
	    rule_at("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 1767225600).offset_s,
	    39600);
	assert_int_equal(rule_at("IST-1GMT0,M10.5.0,M3.5.0/1", 1767225600).offset_s, 0);
	assert_int_equal(
	    rule_at("IST-1GMT0,M10.5.0,M3.5.0/1", 1782864000).offset_s, 3600);
}

static void
test_days_of_rules(void **state)
{
	(void)state;
	/* J60 is March 1st in leap years too, 59 is February 29th then. */
	assert_true(rule_at("AAA0BBB,J60,J300", 1709251200).until_s == 1709258400);
	assert_true(rule_at("AAA0BBB,59,300", 1709164800).until_s == 1709172000);
	assert_true(rule_at("AAA0BBB,J60/-1,J300", 1709164800).until_s == 1709247600);
	assert_true(
	    rule_at("AAA0BBB,J60/24:30,J300", 1709251200).until_s == 1709339400);
	/* Daylight-saving time all the year */
	assert_int_equal(rule_at("XXX3EDT4,0/0,J365/23", 1767225600).offset_s, -14400);
	assert_int_equal(rule_at("XXX3EDT4,0/0,J365/23", 1767236400).offset_s, -14400);
}

static void
test_rules_that_are_none(void **state)
{
	static const char *const texts[] = { "", "C", "CE-1", "CET", "CET-25", "CET-1x",
		"CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
		"CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0",
		"CET-1CEST,M3.5.0,M10.5.0/", "CET-1CEST,M3.5.0,M10.5.0/168",
		"CET-1CEST,J0,J366", "CET-1CEST,366,1", "<CET-1", "<+1>1", "CET-1:60",
		"CET-1CEST,M3.5.0,M10.5.0 ", "CET--1", "CET-99999999999" };
	struct zone_rule rule;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (zone_rule_parse(slice_str(texts[i]), &rule) == 0)
			fail_msg("\"%s\" was taken", texts[i]);
}

/* --- files -------------------------------------------------------------------- */

#define COUNTS_NONE "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0"
#define HEADER(version) "TZif" version "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

/* One type of two hours, one change of which at 1000 s to three hours. */
static const char small[] = HEADER("2") COUNTS_NONE
    "\0\0\0\0\0\0" HEADER("2") "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0\0"
			       "\0\0\0\0\0\0\3\350"
			       "\1"
			       "\0\0\034\040\0\0"
			       "\0\0\052\060\0\0"
			       "\nAAA-3\n";

static int
parse(const char *bytes, size_t len, struct zone **out)
{
	/* A copy of its own: reading past the end is seen. */
	char *copy = malloc(len ? len : 1);
	struct errinfo ei;
	int rc;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	rc = zone_parse(slice_make(copy, len), out, &ei);
	free(copy);
	return rc;
}

static void
test_a_small_file(void **state)
{
	struct zone_span span;
	struct zone *zone;

	(void)state;
	assert_int_equal(parse(small, sizeof(small) - 1, &zone), 0);
	zone_at(zone, 999, &span);
	assert_span(span, INT64_MIN, 1000, 7200);
	zone_at(zone, 1000, &span);
	assert_span(span, 1000, INT64_MAX, 10800);
	/* At 1000 the clock jumps from 8199 to 11800. */
	assert_true(zone_first_s(zone, 8199) == 999);
	assert_true(zone_first_s(zone, 8200) == 1000);
	assert_true(zone_first_s(zone, 11800) == 1000);
	assert_true(zone_first_s(zone, 11801) == 1001);
	zone_free(zone);
}

/* Cut anywhere, or with any byte changed: refused or read, never more. */
static void
test_broken_files(void **state)
{
	char bytes[sizeof(small) - 1];
	struct zone *zone;

	(void)state;
	for (size_t len = 0; len < sizeof(bytes); len++) {
		assert_true(parse(small, len, &zone) < 0);
		assert_null(zone);
	}
	for (size_t i = 0; i < sizeof(bytes) * 256; i++) {
		memcpy(bytes, small, sizeof(bytes));
		bytes[i / 256] = (char)i;
		if (parse(bytes, sizeof(bytes), &zone) == 0)
			zone_free(zone);
	}
	memcpy(bytes, small, sizeof(bytes));
	bytes[4] = '\0';
	assert_int_equal(parse(bytes, sizeof(bytes), &zone), ERR_SYNTAX);
}

/* --- the system's ------------------------------------------------------------- */

static struct zone *
load(const char *name)
{
	struct buf bytes = { 0 };
	struct errinfo ei;
	struct zone *zone;

	assert_int_equal(tzdata_read(NULL, name, &bytes, &ei), 0);
	assert_int_equal(zone_parse(buf_slice(&bytes), &zone, &ei), 0);
	buf_fini(&bytes);
	return zone;
}

/* Against localtime_r(), which reads the same files in its own way; from 1900 to 2200
 * in steps that meet every change from both sides. */
static void
test_against_the_c_library(void **state)
{
	static const char *const names[] = { "UTC", "Europe/Berlin", "Europe/Dublin",
		"America/New_York", "America/St_Johns", "America/Sao_Paulo",
		"Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
		"Africa/Casablanca", "Antarctica/Troll", "America/Nuuk",
		"Pacific/Kiritimati", "Etc/GMT+12" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct zone *zone = load(names[i]);
		struct zone_span span;
		struct tm tm;
		time_t t;

		setenv("TZ", names[i], 1);
		tzset();
		for (int64_t s = -2208988800; s < 7258118400; s = span.until_s) {
			zone_at(zone, s, &span);
			assert_true(span.from_s <= s && s < span.until_s);
			t = s;
			assert_non_null(localtime_r(&t, &tm));
			assert_int_equal(tm.tm_gmtoff, span.offset_s);
			if (span.until_s == INT64_MAX)
				break;
			t = span.until_s - 1;
			assert_non_null(localtime_r(&t, &tm));
			assert_int_equal(tm.tm_gmtoff, span.offset_s);
		}
		zone_free(zone);
	}
	unsetenv("TZ");
	tzset();
}

static void
test_names(void **state)
{
	static const char *const names[] = { "", "/", "/etc/passwd", "../etc/passwd",
		"Europe/../UTC", "Europe//Berlin", "Europe/", "localtime", "posixrules",
		"tzdata.zi", "Europe/Berlin ", "Europe\\Berlin",
		"Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct buf bytes = { 0 };
	struct errinfo ei;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(tzdata_read(NULL, names[i], &bytes, &ei), ERR_INVALID);
	assert_int_equal(tzdata_read(NULL, "Europe", &bytes, &ei), ERR_NOTFOUND);
	assert_int_equal(tzdata_read(NULL, "Europe/Foo", &bytes, &ei), ERR_NOTFOUND);
	assert_int_equal(bytes.len, 0);
	buf_fini(&bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_days_of_rules),
		cmocka_unit_test(test_rules_that_are_none),
		cmocka_unit_test(test_a_small_file),
		cmocka_unit_test(test_broken_files),
		cmocka_unit_test(test_against_the_c_library),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
