/*
 * inherit.c: what a service takes from defaults { }.
 *
 * SPDX-License-Identifier: ISC
 */
#include "config.h"

#include <stdarg.h>
#include <string.h>

#include "reader.h"

static void inherit_note(struct reader *reader, struct section *section)
{
	for (unsigned i = 0; i < section->count; i++)
		reader->inherited[section->setting[i].word->id] = &section->setting[i];
}

void inherit_defaults(struct reader *reader)
{
	if (!reader->defaults)
		return;
	inherit_note(reader, reader->defaults);
	if (reader->defaults->server)
		inherit_note(reader, reader->defaults->server);
}

/* `env` is merged by name even with "=", since later entries win when the environment is made. */
static bool inherit_adds(const struct setting *own)
{
	return own->add || (own->word->id == W_ENV && own->count);
}

static struct setting *inherit_joined(struct reader *reader, const struct setting *base,
				      const struct setting *own)
{
	struct setting *joined = arena_alloc(&reader->work, sizeof(*joined));

	*joined = *own;
	joined->bad = base->bad || own->bad;
	joined->count = base->count + own->count;
	joined->value = arena_alloc(&reader->work, (joined->count + 1) * sizeof(*joined->value));
	memcpy(joined->value, base->value, base->count * sizeof(*joined->value));
	memcpy(joined->value + base->count, own->value, own->count * sizeof(*joined->value));
	joined->line = arena_alloc(&reader->work, (joined->count + 1) * sizeof(*joined->line));
	for (unsigned i = 0; i < joined->count; i++)
		joined->line[i] = i < base->count ? own->place.line : own->line[i - base->count];
	return joined;
}

static void inherit_own(struct reader *reader, const struct section *section, struct effective *effective)
{
	for (unsigned i = 0; i < section->count; i++) {
		struct setting *own = &section->setting[i], **place = &effective->of[own->word->id];

		*place = *place && *place != own && inherit_adds(own) ? inherit_joined(reader, *place, own)
								      : own;
	}
}

void inherit_into(struct reader *reader, const struct section *section, struct effective *effective)
{
	effective->title = section->title;
	memcpy(effective->of, reader->inherited, sizeof(effective->of));
	if (!section->server)
		for (int id = 0; id < WORD_COUNT; id++)
			if (effective->of[id] && effective->of[id]->word->section == SECTION_SERVER)
				effective->of[id] = NULL;
	inherit_own(reader, section, effective);
	if (section->server)
		inherit_own(reader, section->server, effective);
}

static void setting_tell(struct reader *reader, const char *title, struct setting *setting, unsigned line,
			 const char *what)
{
	setting->bad = true;
	report_mistake(&reader->report, (struct place){setting->place.source, line},
		       setting->from_defaults ? "defaults" : title, setting->word->name, "%s", what);
}

void setting_mistake(struct reader *reader, const char *title, struct setting *setting, const char *format,
		     ...)
{
	char what[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	setting_tell(reader, title, setting, setting->place.line, what);
}

void value_mistake(struct reader *reader, const char *title, struct setting *setting, unsigned at,
		   const char *format, ...)
{
	char what[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	setting_tell(reader, title, setting, setting->line[at], what);
}
