/* textindex - see textindex.h. What allocates calls loft_arena_malloc and needs nothing else of
 * loft: a pointer that is stored here holds in every later run, because the arena always lies at
 * the same address. */
#include "textindex.h"

#include <stdlib.h>
#include <string.h>

static const char root_name[] = "textindex";

/* Two pages of pointers: little in a small index, and soon doubled in a large one. */
static const uint64_t first_slots = 1024;

/* --- tables ---------------------------------------------------------------------------------- */

/* Returns: the pointer that leads to the entry of that name, or to the NULL where it would be. */
static struct entry **table_link(const struct table *table, const char *name, size_t bytes)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    struct entry **link = &table->slots[hash & (table->slot_count - 1)];
    while (*link != NULL &&
           ((*link)->name_bytes != bytes || memcmp((*link)->name, name, bytes) != 0))
        link = &(*link)->next;
    return link;
}

static bool table_create(loft_arena *arena, struct table *table, uint64_t slot_count)
{
    *table = (struct table){.slots = loft_arena_calloc(arena, slot_count, sizeof(struct entry *)),
                            .slot_count = slot_count};
    return table->slots != NULL;
}

static bool table_grow(loft_arena *arena, struct table *table)
{
    struct table wide;
    if (!table_create(arena, &wide, table->slot_count * 2))
        return false;
    for (uint64_t i = 0; i < table->slot_count; i++) {
        for (struct entry *entry = table->slots[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            entry->next = NULL;
            *table_link(&wide, entry->name, entry->name_bytes) = entry;
        }
    }
    loft_arena_free(arena, table->slots);
    table->slots = wide.slots;
    table->slot_count = wide.slot_count;
    return true;
}

/* Returns: the entry of that name, a new one if there was none; NULL: no memory in the arena. */
static struct entry *table_add(loft_arena *arena, struct table *table, const char *name,
                               size_t bytes)
{
    struct entry **link = table_link(table, name, bytes);
    if (*link != NULL)
        return *link;
    if (table->entry_count == table->slot_count) {
        if (!table_grow(arena, table))
            return NULL;
        link = table_link(table, name, bytes);
    }
    struct entry *entry = loft_arena_malloc(arena, sizeof *entry + bytes);
    if (entry == NULL)
        return NULL;
    *entry = (struct entry){.name_bytes = bytes};
    memcpy(entry->name, name, bytes);
    *link = entry;
    table->entry_count++;
    return entry;
}

struct entry *index_find(const struct table *table, const char *name, size_t bytes)
{
    return *table_link(table, name, bytes);
}

struct entry **index_list(const struct table *table, index_order *order)
{
    struct entry **list = malloc((table->entry_count + 1) * sizeof(struct entry *));
    if (list == NULL)
        return NULL;
    uint64_t n = 0;
    for (uint64_t i = 0; i < table->slot_count; i++)
        for (struct entry *entry = table->slots[i]; entry != NULL; entry = entry->next)
            list[n++] = entry;
    qsort(list, n, sizeof(struct entry *), order);
    return list;
}

int index_by_name(const void *left, const void *right)
{
    const struct entry *a = *(struct entry *const *)left, *b = *(struct entry *const *)right;
    size_t shorter = a->name_bytes < b->name_bytes ? a->name_bytes : b->name_bytes;
    int order = memcmp(a->name, b->name, shorter);
    return order != 0 ? order : (a->name_bytes > b->name_bytes) - (a->name_bytes < b->name_bytes);
}

int index_by_count(const void *left, const void *right)
{
    const struct entry *a = *(struct entry *const *)left, *b = *(struct entry *const *)right;
    return a->count != b->count ? (a->count < b->count ? 1 : -1) : index_by_name(left, right);
}

int index_by_number(const void *left, const void *right)
{
    const struct entry *a = *(struct entry *const *)left, *b = *(struct entry *const *)right;
    return a->stamp->number < b->stamp->number ? -1 : 1;
}

/* --- the index ------------------------------------------------------------------------------- */

const char *index_open(loft_arena *arena, bool create, struct index **out)
{
    *out = loft_arena_root(arena, root_name);
    if (*out != NULL)
        return (*out)->layout == INDEX_LAYOUT ? NULL : "its index is of another version";
    if (loft_last_code() != LOFT_ENOENT)
        return loft_last_error();
    if (!create)
        return "it holds no index of text";
    struct index *index = loft_arena_calloc(arena, 1, sizeof *index);
    if (index == NULL || !table_create(arena, &index->words, first_slots) ||
        !table_create(arena, &index->files, first_slots) ||
        loft_arena_set_root(arena, root_name, index) != 0)
        return loft_last_error();
    index->layout = INDEX_LAYOUT;
    *out = index;
    return NULL;
}

char index_fold(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') /* not isalnum: the words must not depend on a locale */
        return (char)(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? (char)c : '\0';
}

/* Counts the word that was read, if there is one. Returns: false: no memory in the arena. */
static bool word_end(struct index_writer *writer)
{
    if (writer->word_bytes == 0)
        return true;
    struct index *index = writer->index;
    struct entry *word = table_add(writer->arena, &index->words, writer->word, writer->word_bytes);
    if (word == NULL)
        return false;
    struct posting *posting = word->postings;
    if (posting == NULL || posting->file != writer->file) {
        posting = loft_arena_malloc(writer->arena, sizeof *posting);
        if (posting == NULL)
            return false;
        *posting = (struct posting){.next = word->postings, .file = writer->file};
        word->postings = posting;
    }
    posting->count++;
    word->count++;
    writer->file->count++;
    index->word_count++;
    writer->word_bytes = 0;
    return true;
}

static bool word_extend(struct index_writer *writer, char c)
{
    if (writer->word_bytes == writer->word_room) {
        size_t room = writer->word_room * 2 + 64;
        char *word = realloc(writer->word, room);
        if (word == NULL)
            return false;
        writer->word = word;
        writer->word_room = room;
    }
    writer->word[writer->word_bytes++] = c;
    return true;
}

/* Takes a file's words out, and with them the words that occur in no other file. */
static void file_forget(struct index_writer *writer, struct entry *file)
{
    struct table *words = &writer->index->words;
    for (uint64_t i = 0; i < words->slot_count; i++) {
        for (struct entry **link = &words->slots[i], *word; (word = *link) != NULL;) {
            struct posting **from = &word->postings, *posting;
            while ((posting = *from) != NULL && posting->file != file)
                from = &posting->next;
            if (posting != NULL) {
                *from = posting->next;
                word->count -= posting->count;
                loft_arena_free(writer->arena, posting);
            }
            if (word->postings != NULL) {
                link = &word->next;
                continue;
            }
            *link = word->next;
            loft_arena_free(writer->arena, word);
            words->entry_count--;
        }
    }
    writer->index->word_count -= file->count;
    writer->index->text_bytes -= (uint64_t)file->stamp->bytes;
    file->count = 0;
}

const char *index_begin(struct index_writer *writer, const char *path, const struct stamp *stamp)
{
    struct table *files = &writer->index->files;
    struct entry *file = table_add(writer->arena, files, path, strlen(path));
    if (file == NULL)
        return loft_last_error();
    uint64_t number = files->entry_count - 1;
    if (file->stamp != NULL) {
        number = file->stamp->number;
        file_forget(writer, file);
    } else {
        file->stamp = loft_arena_malloc(writer->arena, sizeof *file->stamp);
        if (file->stamp == NULL)
            return loft_last_error();
    }
    *file->stamp = *stamp;
    file->stamp->number = number;
    file->stamp->bytes = 0; /* index_text counts what there really is */
    writer->file = file;
    writer->word_bytes = 0;
    return NULL;
}

const char *index_text(struct index_writer *writer, const unsigned char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        char c = index_fold(text[i]);
        if (c == '\0' && !word_end(writer))
            return loft_last_error();
        if (c != '\0' && !word_extend(writer, c))
            return "out of memory";
    }
    writer->file->stamp->bytes += (int64_t)bytes;
    writer->index->text_bytes += bytes;
    return NULL;
}

const char *index_end(struct index_writer *writer)
{
    return word_end(writer) ? NULL : loft_last_error();
}

/* In: sums, a zero for each file. */
static const char *words_check(const struct index *index, uint64_t *sums)
{
    uint64_t words = 0, total = 0;
    for (uint64_t i = 0; i < index->words.slot_count; i++) {
        for (const struct entry *word = index->words.slots[i]; word != NULL; word = word->next) {
            uint64_t count = 0;
            for (const struct posting *at = word->postings; at != NULL; at = at->next) {
                if (index_find(&index->files, at->file->name, at->file->name_bytes) != at->file)
                    return "a word occurs in a file that is not in the index";
                sums[at->file->stamp->number] += at->count;
                count += at->count;
            }
            if (count != word->count || count == 0)
                return "a word's count is not that of its files";
            words++;
            total += count;
        }
    }
    return words == index->words.entry_count && total == index->word_count
               ? NULL
               : "the totals are not those of the words";
}

const char *index_check(const struct index *index)
{
    uint64_t n = index->files.entry_count, text_bytes = 0;
    struct entry **files = index_list(&index->files, index_by_number);
    uint64_t *sums = calloc(n + 1, sizeof *sums);
    const char *wrong = files == NULL || sums == NULL ? "out of memory" : NULL;
    for (uint64_t i = 0; wrong == NULL && i < n; i++) {
        text_bytes += (uint64_t)files[i]->stamp->bytes;
        if (files[i]->stamp->number != i)
            wrong = "the files are not numbered from 0 on";
    }
    if (wrong == NULL && text_bytes != index->text_bytes)
        wrong = "the text's length is not that of its files";
    if (wrong == NULL)
        wrong = words_check(index, sums);
    for (uint64_t i = 0; wrong == NULL && i < n; i++)
        if (files[i]->count != sums[i])
            wrong = "a file's count is not that of its words";
    free(sums);
    free(files);
    return wrong;
}
