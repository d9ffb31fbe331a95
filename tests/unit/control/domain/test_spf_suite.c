/*
 * test_spf_suite.c - the test suite of RFC 7208 (openspf.org), as Debian's
 * golang-blitiri-go-spf-dev has it: all of its scenarios, each with zones of its own. Explanations
 * are not evaluated.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include <yaml.h>

#include "control/domain/spf.h"

#define SUITE "/usr/share/gocode/src/blitiri.com.ar/go/spf/testdata/rfc7208-tests.yml"
#define CASES 205 /* of the edition that Debian 12 has */

static struct {
	yaml_document_t document;
	yaml_node_t *zones;
	uint8_t rdata[ANSWER_RECORDS_MAX][4096];
	size_t ran, failed;
} t;

static const char *
text_of(const yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value
						      : NULL;
}

static yaml_node_t *
node_at(int index)
{
	return yaml_document_get_node(&t.document, index);
}

/* The value of a mapping's key, whose case does not matter. */
static yaml_node_t *
member(const yaml_node_t *map, const char *key)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *pair = map->data.mapping.pairs.start;
		pair < map->data.mapping.pairs.top; pair++)
		if (!strcasecmp(text_of(node_at(pair->key)), key))
			return node_at(pair->value);
	return NULL;
}

static size_t
items(const yaml_node_t *list)
{
	return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

static yaml_node_t *
item(const yaml_node_t *list, size_t i)
{
	return node_at(list->data.sequence.items.start[i]);
}

static yaml_node_t *
zone_of(const char *name)
{
	char dotted[300];

	snprintf(dotted, sizeof dotted, "%s.", name);
	return member(t.zones, name) ? member(t.zones, name) : member(t.zones, dotted);
}

static void
txt_string(uint8_t *rdata, uint16_t *length, const yaml_node_t *node)
{
	const char *text = text_of(node);
	size_t left = node->data.scalar.length;

	do {
		const size_t n = left < 255 ? left : 255;

		rdata[(*length)++] = (uint8_t)n;
		memcpy(rdata + *length, text, n);
		*length = (uint16_t)(*length + n);
		text += n;
		left -= n;
	} while (left);
}

static void
record_txt(struct answer *answer, const yaml_node_t *value)
{
	struct answer_record *record = &answer->records[answer->count];
	uint8_t *rdata = t.rdata[answer->count++];

	record->data = rdata;
	if (value->type == YAML_SCALAR_NODE)
		txt_string(rdata, &record->data_length, value);
	for (size_t i = 0; value->type == YAML_SEQUENCE_NODE && i < items(value); i++)
		txt_string(rdata, &record->data_length, item(value, i));
}

static void
record_name(struct answer *answer, const char *name)
{
	struct answer_record *record = &answer->records[answer->count++];

	snprintf(record->name, sizeof record->name, "%s", name);
	if (*record->name && record->name[strlen(name) - 1] == '.')
		record->name[strlen(name) - 1] = '\0';
}

static void
record_add(struct answer *answer, uint16_t type, const yaml_node_t *value)
{
	answer->records[answer->count].type = type;
	switch (type) {
	case ANSWER_TXT: record_txt(answer, value); break;
	case ANSWER_MX: record_name(answer, text_of(item(value, 1))); break;
	case ANSWER_PTR: record_name(answer, text_of(value)); break;
	default:
		inet_pton(type == ANSWER_A ? AF_INET : AF_INET6, text_of(value),
			answer->records[answer->count].address);
		answer->count++;
	}
}

static const char *
type_name(uint16_t type)
{
	switch (type) {
	case ANSWER_A: return "A";
	case ANSWER_AAAA: return "AAAA";
	case ANSWER_MX: return "MX";
	case ANSWER_PTR: return "PTR";
	default: return "TXT";
	}
}

static bool
has_txt(const yaml_node_t *zone)
{
	for (size_t i = 0; i < items(zone); i++)
		if (member(item(zone, i), "TXT"))
			return true;
	return false;
}

/* Records of type SPF stand for TXT where the zone has no TXT. */
static const char *
key_of(const yaml_node_t *zone, uint16_t type)
{
	return type == ANSWER_TXT && !has_txt(zone) ? "SPF" : type_name(type);
}

static enum fact_status
zone_read(const yaml_node_t *zone, uint16_t type, struct answer *answer, const char **alias_out)
{
	for (size_t i = 0; i < items(zone); i++) {
		const yaml_node_t *entry = item(zone, i);
		const yaml_node_t *value = member(entry, key_of(zone, type));

		if (value && (!text_of(value) || strcmp(text_of(value), "NONE") != 0))
			record_add(answer, type, value);
		else if (member(entry, "CNAME"))
			*alias_out = text_of(member(entry, "CNAME"));
		else if (member(entry, "CNAMELOOP") || (member(entry, "TIMEOUT") && !answer->count))
			return FACT_FAILED;
	}
	return FACT_ANSWER;
}

static void
answer_from_zones(struct facts *facts, const char *name, uint16_t type)
{
	static struct answer answer;
	enum fact_status status = FACT_NO_DOMAIN;
	const char *alias = name;

	memset(&answer, 0, sizeof answer);
	for (int hops = 0; alias && hops < 10; hops++) {
		const yaml_node_t *zone = zone_of(alias);

		alias = NULL;
		status = zone ? zone_read(zone, type, &answer, &alias) : FACT_NO_DOMAIN;
	}
	facts_put(facts, name, type, status, status == FACT_ANSWER ? &answer : NULL);
}

static struct spf_verdict
evaluate(const yaml_node_t *test)
{
	const char *from = text_of(member(test, "mailfrom")), *helo = text_of(member(test, "helo"));
	const char *host = text_of(member(test, "host")), *name;
	const char *sender = from && *from ? from : helo;
	const char *at = strrchr(sender, '@');
	struct spf_question question = { .sender = sender, .helo = helo };
	struct facts *facts = facts_new();
	struct spf_verdict verdict;
	uint16_t type;
	int rounds = 0;

	question.v6 = strchr(host, ':') != NULL;
	assert_int_equal(inet_pton(question.v6 ? AF_INET6 : AF_INET, host, question.address), 1);
	while (!spf_check(&question, at ? at + 1 : sender, facts, &verdict)) {
		assert_true(facts_wanted(facts, 0, &name, &type));
		assert_true(rounds++ < 200);
		while (facts_wanted(facts, 0, &name, &type))
			answer_from_zones(facts, name, type);
	}
	facts_free(&facts);
	return verdict;
}

static bool
is_expected(const yaml_node_t *expected, const char *result)
{
	if (expected->type == YAML_SCALAR_NODE)
		return !strcmp(text_of(expected), result);
	for (size_t i = 0; i < items(expected); i++)
		if (!strcmp(text_of(item(expected, i)), result))
			return true;
	return false;
}

static void
run_case(const char *name, const yaml_node_t *test)
{
	const yaml_node_t *expected = member(test, "result");
	const struct spf_verdict verdict = evaluate(test);
	const char *result = spf_result_name(verdict.result);

	t.ran++;
	if (is_expected(expected, result))
		return;
	t.failed++;
	print_error("%s: %s (%s, %s), not %s\n", name, result, verdict.where, verdict.term,
		text_of(expected) ? text_of(expected) : "what the list says");
}

static void
run_scenario(void)
{
	const yaml_node_t *root = yaml_document_get_root_node(&t.document);
	const yaml_node_t *tests = member(root, "tests");

	t.zones = member(root, "zonedata");
	for (yaml_node_pair_t *pair = tests->data.mapping.pairs.start;
		pair < tests->data.mapping.pairs.top; pair++)
		run_case(text_of(node_at(pair->key)), node_at(pair->value));
}

static void
the_suite_of_the_rfc_passes(void **state)
{
	FILE *file = fopen(SUITE, "r");
	yaml_parser_t parser;
	bool more = true;

	(void)state;
	assert_non_null(file);
	yaml_parser_initialize(&parser);
	yaml_parser_set_input_file(&parser, file);
	while (more && yaml_parser_load(&parser, &t.document)) {
		more = yaml_document_get_root_node(&t.document) != NULL;
		if (more)
			run_scenario();
		yaml_document_delete(&t.document);
	}
	yaml_parser_delete(&parser);
	fclose(file);
	assert_int_equal(t.failed, 0);
	assert_in_range(t.ran, CASES - 10, CASES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_suite_of_the_rfc_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
