/* Boxes and statistics in an application of your own, in C: boxes FILE
 *
 * Takes a picture or a video, and prints a line for every box, read from the metadata of the frames, and one for every
 * message with statistics. MODEL=/path/x.onnx in the environment selects another model. Needs the plugin on
 * GST_PLUGIN_PATH. To be built with
 *   cc boxes.c -o boxes $(pkg-config --cflags --libs gstreamer-1.0 gstreamer-video-1.0)
 */
#include <gst/gst.h>
#include <gst/video/video.h>

static const char PIPELINE[] =
    "filesrc name=source ! decodebin ! videoconvert ! detect name=detect ! fakesink name=sink";

/* Boxes are in pixels of the frame. */
static void print_box(GstClockTime at, GstVideoRegionOfInterestMeta *roi)
{
    GstStructure *detection = gst_video_region_of_interest_meta_get_param(roi, "detection");
    gdouble score = 0;

    if (detection)
        gst_structure_get_double(detection, "confidence", &score);
    g_print("%.2f s  %s %.2f  x %u y %u width %u height %u\n", (gdouble)at / GST_SECOND,
            g_quark_to_string(roi->roi_type), score, roi->x, roi->y, roi->w, roi->h);
}

/* Called in the thread that pushes the frames, so it should be quick. */
static GstPadProbeReturn print_boxes(GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
    GstBuffer *frame = GST_PAD_PROBE_INFO_BUFFER(info);
    GstClockTime at = GST_BUFFER_PTS_IS_VALID(frame) ? GST_BUFFER_PTS(frame) : 0;
    gpointer state = NULL;
    GstMeta *meta;

    (void)pad;
    (void)user_data;
    while ((meta = gst_buffer_iterate_meta_filtered(frame, &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)))
        print_box(at, (GstVideoRegionOfInterestMeta *)meta);
    return GST_PAD_PROBE_OK;
}

static void print_stats(const GstStructure *stats)
{
    guint64 model = 0;
    gdouble fps = 0;

    gst_structure_get_double(stats, "fps", &fps);
    gst_structure_get_uint64(stats, "model-time", &model);
    g_print("FPS %.1f, model %.1f ms\n", fps, (gdouble)model / GST_MSECOND);
}

/* Until the end of the stream, or an error; TRUE after the end. Of a pipeline that does not run, what is on the bus. */
static gboolean follow(GstElement *pipeline, gboolean running)
{
    GstBus *bus = gst_element_get_bus(pipeline);
    gboolean going = TRUE, well = FALSE;
    GstMessage *message;

    while (going && (message = gst_bus_timed_pop(bus, running ? GST_CLOCK_TIME_NONE : 0))) {
        switch (GST_MESSAGE_TYPE(message)) {
        case GST_MESSAGE_EOS:
            going = FALSE;
            well = TRUE;
            break;
        case GST_MESSAGE_ERROR: {
            GError *error = NULL;

            gst_message_parse_error(message, &error, NULL);
            g_printerr("%s\n", error->message);
            g_error_free(error);
            going = FALSE;
            break;
        }
        case GST_MESSAGE_LATENCY:
            /* The delay that `detect` declares has changed: the sinks have to know. */
            gst_bin_recalculate_latency(GST_BIN(pipeline));
            break;
        case GST_MESSAGE_ELEMENT:
            if (gst_message_has_name(message, "detect-stats"))
                print_stats(gst_message_get_structure(message));
            break;
        default:
            break;
        }
        gst_message_unref(message);
    }
    gst_object_unref(bus);
    return well;
}

static void set_of(GstElement *pipeline, const char *name, const char *property, const char *value)
{
    GstElement *element = gst_bin_get_by_name(GST_BIN(pipeline), name);

    g_object_set(element, property, value, NULL);
    gst_object_unref(element);
}

static void add_probe(GstElement *pipeline)
{
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    GstPad *pad = gst_element_get_static_pad(sink, "sink");

    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, print_boxes, NULL, NULL);
    gst_object_unref(pad);
    gst_object_unref(sink);
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    GstElement *pipeline;
    gboolean well;

    gst_init(&argc, &argv);
    if (argc != 2) {
        g_printerr("usage: %s FILE\n", argv[0]);
        return 2;
    }
    pipeline = gst_parse_launch(PIPELINE, &error);
    if (error) {
        g_printerr("%s\n", error->message);
        g_error_free(error);
        return 1;
    }
    set_of(pipeline, "source", "location", argv[1]);
    if (g_getenv("MODEL"))
        set_of(pipeline, "detect", "model", g_getenv("MODEL"));
    add_probe(pipeline);

    well = gst_element_set_state(pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE;
    /* An element that could not start has said why on the bus. */
    well = follow(pipeline, well) && well;
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    return well ? 0 : 1;
}
