// A link from Orthanc Explorer's start and study pages to the Habitus page (jQuery Mobile 1.x: live, pagebeforeshow).
(function () {
  'use strict';
  $('#lookup, #study').live('pagebeforeshow', function () {
    var page = $(this);
    page.find('.habitus-link').remove();           // the page is shown again for every study
    $('<p class="habitus-link"><a href="../habitus/index.html" data-ajax="false">Habitus: analyses and their state</a></p>')
      .prependTo(page.find('[data-role="content"]').first());
  });
})();
